//! Keys of what the relay holds. Each carries the generation of its slot, so that the key of something gone is never taken for
//! that of something new.

macro_rules! key {
    ($name:ident, $what:literal) => {
        #[doc = $what]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name {
            pub(crate) slot: u32,
            pub(crate) generation: u32,
        }

        impl $name {
            /// The slot: dense, and used again after this key is dead. For tables beside the relay.
            #[must_use]
            pub const fn index(self) -> usize {
                self.slot as usize
            }

            pub(crate) const fn of((slot, generation): (u32, u32)) -> Self {
                Self { slot, generation }
            }
        }
    };
}

key!(ConnectionKey, "A connection.");
key!(CallKey, "A call.");
key!(EndpointKey, "An endpoint: an address where calls can be taken.");
