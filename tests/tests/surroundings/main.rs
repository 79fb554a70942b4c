//! Faults of what surrounds the programs: the machine, its clock, the network, servers and clients as they are. Each is made for real.

mod calendar;
mod disk;
mod log;
