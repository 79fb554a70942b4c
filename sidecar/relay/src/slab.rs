//! Things in numbered slots that are used again. Nothing is allocated once there are as many slots as things at a time.

use std::marker::PhantomData;

/// The number of a slot, as a type of its own for each kind of thing: one kind's number never finds another kind's thing.
pub(crate) trait Id: Copy {
    /// The slot with this number.
    fn from_index(index: u32) -> Self;
    /// Its number.
    fn index(self) -> u32;
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Things in numbered slots.
#[derive(Debug)]
pub(crate) struct Slab<I, T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    ids: PhantomData<fn(I) -> I>,
}

impl<I: Id, T> Slab<I, T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), ids: PhantomData }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// All slots that were ever used, occupied or not.
    pub(crate) fn ids(&self) -> impl Iterator<Item = I> + use<I, T> {
        (0..self.slots.len() as u32).map(I::from_index)
    }

    /// The slot and generation that the next thing will get.
    pub(crate) fn next_key(&self) -> (I, u32) {
        let slot = self.free.last().copied().unwrap_or(self.slots.len() as u32);
        let id = I::from_index(slot);
        (id, self.generation(id))
    }

    #[inline]
    pub(crate) fn insert(&mut self, value: T) -> I {
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(index as usize)
        {
            slot.value = Some(value);
            return I::from_index(index);
        }
        self.slots.push(Slot { generation: 0, value: Some(value) });
        I::from_index(self.slots.len() as u32 - 1)
    }

    pub(crate) fn remove(&mut self, id: I) -> Option<T> {
        let slot = self.slots.get_mut(id.index() as usize)?;
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.index());
        Some(value)
    }

    #[inline]
    pub(crate) fn get(&self, id: I) -> Option<&T> {
        self.slots.get(id.index() as usize)?.value.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: I) -> Option<&mut T> {
        self.slots.get_mut(id.index() as usize)?.value.as_mut()
    }

    /// Whether the slot still holds what it held in this generation.
    #[inline]
    pub(crate) fn holds(&self, id: I, generation: u32) -> bool {
        self.slots.get(id.index() as usize).is_some_and(|slot| slot.generation == generation && slot.value.is_some())
    }

    #[inline]
    pub(crate) fn generation(&self, id: I) -> u32 {
        self.slots.get(id.index() as usize).map_or(0, |slot| slot.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Id for u32 {
        fn from_index(index: u32) -> Self {
            index
        }

        fn index(self) -> u32 {
            self
        }
    }

    #[test]
    fn a_key_of_something_gone_finds_nothing() {
        let mut slab = Slab::<u32, char>::new();
        let (id, generation) = slab.next_key();
        assert_eq!(slab.insert('a'), id);
        assert!(slab.holds(id, generation));
        assert_eq!(slab.remove(id), Some('a'));
        assert!(!slab.holds(id, generation));
        assert_eq!(slab.next_key(), (id, generation + 1));
        let again = slab.insert('b');
        assert_eq!((again, slab.holds(again, generation + 1), slab.holds(id, generation)), (id, true, false));
        assert_eq!((slab.len(), slab.remove(7)), (1, None));
    }
}
