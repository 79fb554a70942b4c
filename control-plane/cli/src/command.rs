//! The commands, a file a noun. Each asks the control plane, and shows the answer.

pub(crate) mod admin_cert;
pub(crate) mod agency;
pub(crate) mod apply;
pub(crate) mod audit;
pub(crate) mod ca;
pub(crate) mod cert;
pub(crate) mod change;
pub(crate) mod check;
pub(crate) mod evidence;
pub(crate) mod explain;
pub(crate) mod grant;
pub(crate) mod ledger;
pub(crate) mod passport;
pub(crate) mod policy;
pub(crate) mod program;
pub(crate) mod resource;
pub(crate) mod sidecar;
pub(crate) mod subject;
pub(crate) mod token;
pub(crate) mod trace;
