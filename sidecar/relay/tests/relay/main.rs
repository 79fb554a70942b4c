//! The relay between scripted ends: both speak frames by hand, time is wound by hand.

mod attacks;
mod calls;
mod endings;
mod endpoints;
mod flow;
mod gate;
mod hooks;
mod paced;
mod protocol;
mod retries;
mod settings;
mod streams;
mod timers;
mod world;
