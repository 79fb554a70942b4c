//! Where calls can be taken: the sidecars of other agencies that the snapshot names, and the agency's own servers. What the gate knows
//! of each, and which of them take an inquiry; connecting to them is the workers' part.

mod endpoint;
mod set;
mod upstreams;

pub(crate) use self::upstreams::{UpstreamTlsError, Upstreams};
pub(crate) use self::{
    endpoint::{Endpoint, EndpointKind},
    set::EndpointSet,
};
