//! What both daemons need of a process besides the protocol.
//!
//! [`log`] is a log that makes nobody wait and fails nobody, whatever becomes of standard error. [`vital`] watches over the tasks and
//! threads that must run as long as the process does: when one ends, the process does not go on half deaf, it stops and says why. [`files`] are
//! the descriptors that connections use up, and a [`network`] is whom a stranger's doings are charged to.

pub mod files;
pub mod log;
pub mod network;
pub mod vital;
