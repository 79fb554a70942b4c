//! Things in numbered slots that are used again. Nothing is allocated once there are as many slots as things at a time.

/// No slot.
pub(crate) const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Things in numbered slots.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Slots that were ever used: every thing is below.
    pub(crate) fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    /// The slot and generation that the next thing will get.
    pub(crate) fn next_key(&self) -> (u32, u32) {
        match self.free.last() {
            Some(&slot) => (slot, self.generation(slot)),
            None => (self.slots.len() as u32, 0),
        }
    }

    pub(crate) fn insert(&mut self, value: T) -> (u32, u32) {
        if let Some(slot) = self.free.pop()
            && let Some(place) = self.slots.get_mut(slot as usize)
        {
            place.value = Some(value);
            return (slot, place.generation);
        }
        self.slots.push(Slot { generation: 0, value: Some(value) });
        (self.slots.len() as u32 - 1, 0)
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let place = self.slots.get_mut(slot as usize)?;
        let value = place.value.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(slot);
        Some(value)
    }

    #[inline]
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        self.slots.get(slot as usize)?.value.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.value.as_mut()
    }

    /// The slot of a key, if the key still holds.
    #[inline]
    pub(crate) fn find(&self, slot: u32, generation: u32) -> Option<u32> {
        let place = self.slots.get(slot as usize)?;
        (place.generation == generation && place.value.is_some()).then_some(slot)
    }

    pub(crate) fn generation(&self, slot: u32) -> u32 {
        self.slots.get(slot as usize).map_or(0, |place| place.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_something_gone_finds_nothing() {
        let mut slab = Slab::new();
        let (slot, generation) = slab.insert('a');
        assert_eq!(slab.find(slot, generation), Some(slot));
        assert_eq!(slab.remove(slot), Some('a'));
        assert_eq!(slab.find(slot, generation), None);
        assert_eq!(slab.next_key(), (slot, generation + 1));
        let (again, later) = slab.insert('b');
        assert_eq!((again, slab.find(again, later), slab.find(slot, generation)), (slot, Some(slot), None));
        assert_eq!((slab.len(), slab.remove(7)), (1, None));
    }
}
