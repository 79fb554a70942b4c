//! Proof that no stage of the call path can be left out: this is the path, and it compiles.
//! ```
//! # use chapar_sidecar::call::{StageContext, Forward, CallHead, Refused, accept, authorize, forward, identify, minimise, route};
//! # fn walk(context: &StageContext, head: &CallHead<'_>) -> Result<Forward, Refused> {
//! let accepted = accept::from_application(context, head)?;
//! let identified = identify::application(accepted);
//! let routed = route::find(identified)?;
//! let permitted = authorize::decide(routed)?;
//! let minimised = minimise::narrow(permitted);
//! forward::on(minimised)
//! # }
//! ```
//!
//! Each of these differs from it by one stage only, and does not compile.
//!
//! Without `identify`:
//! ```compile_fail,E0308
//! # use chapar_sidecar::call::{StageContext, Forward, CallHead, Refused, accept, authorize, forward, identify, minimise, route};
//! # fn walk(context: &StageContext, head: &CallHead<'_>) -> Result<Forward, Refused> {
//! let accepted = accept::from_application(context, head)?;
//! let routed = route::find(accepted)?;
//! let permitted = authorize::decide(routed)?;
//! let minimised = minimise::narrow(permitted);
//! forward::on(minimised)
//! # }
//! ```
//!
//! Without `route`:
//! ```compile_fail,E0308
//! # use chapar_sidecar::call::{StageContext, Forward, CallHead, Refused, accept, authorize, forward, identify, minimise, route};
//! # fn walk(context: &StageContext, head: &CallHead<'_>) -> Result<Forward, Refused> {
//! let accepted = accept::from_application(context, head)?;
//! let identified = identify::application(accepted);
//! let permitted = authorize::decide(identified)?;
//! let minimised = minimise::narrow(permitted);
//! forward::on(minimised)
//! # }
//! ```
//!
//! Without `authorize`:
//! ```compile_fail,E0308
//! # use chapar_sidecar::call::{StageContext, Forward, CallHead, Refused, accept, authorize, forward, identify, minimise, route};
//! # fn walk(context: &StageContext, head: &CallHead<'_>) -> Result<Forward, Refused> {
//! let accepted = accept::from_application(context, head)?;
//! let identified = identify::application(accepted);
//! let routed = route::find(identified)?;
//! let minimised = minimise::narrow(routed);
//! forward::on(minimised)
//! # }
//! ```
//!
//! Without `minimise`:
//! ```compile_fail,E0308
//! # use chapar_sidecar::call::{StageContext, Forward, CallHead, Refused, accept, authorize, forward, identify, minimise, route};
//! # fn walk(context: &StageContext, head: &CallHead<'_>) -> Result<Forward, Refused> {
//! let accepted = accept::from_application(context, head)?;
//! let identified = identify::application(accepted);
//! let routed = route::find(identified)?;
//! let permitted = authorize::decide(routed)?;
//! forward::on(permitted)
//! # }
//! ```
//!
//! Without any, by making up what the last stage wants:
//! ```compile_fail,E0603
//! # use chapar_sidecar::call::{StageContext, Forward, CallHead, Refused, accept, authorize, forward, identify, minimise, route};
//! # fn walk(context: &StageContext, head: &CallHead<'_>) -> Result<Forward, Refused> {
//! let _ = (context, head);
//! let made_up: forward::Forward = forward::Forward(unreachable!());
//! Ok(made_up)
//! # }
//! ```
//!
//! Or what a stage in the middle wants:
//! ```compile_fail,E0451
//! # use chapar_sidecar::call::{StageContext, Forward, CallHead, Refused, accept, authorize, forward, identify, minimise, route};
//! # fn walk(context: &StageContext, head: &CallHead<'_>) -> Result<Forward, Refused> {
//! let _ = (head, accept::from_application, identify::application, route::find, authorize::decide);
//! forward::on(minimise::Minimised { allowed: unreachable!(), extent: minimise::Extent::Whole })
//! # }
//! ```
