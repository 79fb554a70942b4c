//! The calls of a relay, and the lists in which they wait.

use super::{Call, Stage};
use crate::{
    gate::Gate,
    keys::{CallId, CallKey, FlowId},
    list::{Links, List, Listed},
    slab::Slab,
};

/// All calls that are under way.
pub(crate) struct Calls<G: Gate> {
    held: Slab<CallId, Call<G>>,
}

/// Directions, in the lists of connections that they wait for.
struct Waiting<'c, G: Gate>(&'c mut Calls<G>);

impl<G: Gate> Listed<FlowId> for Waiting<'_, G> {
    #[inline]
    fn links(&mut self, at: FlowId) -> Option<&mut Links<FlowId>> {
        self.0.get_mut(at.call).map(|call| &mut call.flowing(at.direction).waiting_links)
    }
}

/// Calls, in the lists of endpoints at which they wait for room.
struct Pending<'c, G: Gate>(&'c mut Calls<G>);

impl<G: Gate> Listed<CallId> for Pending<'_, G> {
    #[inline]
    fn links(&mut self, at: CallId) -> Option<&mut Links<CallId>> {
        self.0.get_mut(at).map(|call| &mut call.pending_links)
    }
}

impl<G: Gate> Calls<G> {
    pub(crate) const fn new() -> Self {
        Self { held: Slab::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// All slots that were ever used, occupied or not.
    pub(crate) fn ids(&self) -> impl Iterator<Item = CallId> + use<G> {
        self.held.ids()
    }

    #[inline]
    pub(crate) fn get(&self, id: CallId) -> Option<&Call<G>> {
        self.held.get(id)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: CallId) -> Option<&mut Call<G>> {
        self.held.get_mut(id)
    }

    /// None: the call has ended.
    #[inline]
    pub(crate) fn find(&self, key: CallKey) -> Option<CallId> {
        self.held.holds(key.id, key.generation).then_some(key.id)
    }

    #[inline]
    pub(crate) fn key_of(&self, id: CallId) -> CallKey {
        CallKey { id, generation: self.held.generation(id) }
    }

    /// The key that the next call will have.
    #[inline]
    pub(crate) fn next_key(&self) -> CallKey {
        let (id, generation) = self.held.next_key();
        CallKey { id, generation }
    }

    #[inline]
    pub(crate) fn insert(&mut self, call: Call<G>) -> CallId {
        self.held.insert(call)
    }

    /// Takes a call out that stands in no list any more.
    pub(crate) fn remove(&mut self, id: CallId) -> Option<Call<G>> {
        self.held.remove(id)
    }

    /// Enters a direction among those that wait for a connection, if it is not among them.
    pub(crate) fn wait(&mut self, list: &mut List<FlowId>, flow: FlowId) {
        list.push(&mut Waiting(self), flow);
    }

    /// Takes a direction out of those that wait for a connection, if it is among them.
    #[inline]
    pub(crate) fn wait_no_more(&mut self, list: &mut List<FlowId>, flow: FlowId) {
        list.remove(&mut Waiting(self), flow);
    }

    /// Enters a call among those that wait for room at an endpoint.
    pub(crate) fn enter_pending(&mut self, list: &mut List<CallId>, id: CallId, stage: Stage) {
        if list.push(&mut Pending(self), id)
            && let Some(call) = self.get_mut(id)
        {
            call.stage = stage;
        }
    }

    /// Takes a call out of those that wait for room at an endpoint.
    pub(crate) fn leave_pending(&mut self, list: &mut List<CallId>, id: CallId) {
        if list.remove(&mut Pending(self), id)
            && let Some(call) = self.get_mut(id)
        {
            call.stage = Stage::Unassigned;
        }
    }
}
