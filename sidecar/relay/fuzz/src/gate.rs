//! A gate for scripted calls: what it does with a call is told by the call's path.

use std::time::{Duration, Instant};

use chapar_relay::{
    Assignment, Back, CallKey, Cause, Ending, EndpointKey, FirstMessage, Flows, Gate, HeadWriter, Opening, Reply, RequestHead,
    RequestHook, ResponseHook, Transformed, Verdict,
};

use super::trace;

/// An account that must be closed, once.
#[derive(Debug)]
pub struct Account {
    closed: bool,
    path: Vec<u8>,
}

impl Account {
    fn does(&self, letter: u8) -> bool {
        self.path.contains(&letter)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        assert!(self.closed || std::thread::panicking(), "a call was dropped without a close");
    }
}

#[derive(Debug, Default)]
pub struct ScriptedGate {
    pub opened: u64,
    pub closed: u64,
    pub endpoints: Vec<EndpointKey>,
    /// Calls that wait for an answer.
    pub awaiting: Vec<CallKey>,
}

/// What the letters of a path mean; all others mean nothing.
pub mod letter {
    pub const REFUSED: u8 = b'r';
    pub const PEEKED: u8 = b'k';
    pub const HELD: u8 = b'h';
    pub const CUT_AT_FIRST_MESSAGE: u8 = b'c';
    pub const AWAITS_BEFORE: u8 = b'w';
    pub const AWAITS_AT_FIRST_MESSAGE: u8 = b'a';
    pub const EACH_MESSAGE: u8 = b'm';
    pub const DOUBLED: u8 = b'2';
    pub const CUT_IN_RESPONSE: u8 = b'x';
    pub const DEADLINE: u8 = b'd';
    pub const NO_ENDPOINT: u8 = b'n';
    pub const VOID_PEER: u8 = b'v';
    pub const CUT_AT_RECHECK: u8 = b'q';
}

fn refuse(reply: &mut Reply) {
    reply.field(b"grpc-status", b"7");
}

impl Gate for ScriptedGate {
    type Origin = ();
    type Peer = ();
    type Endpoint = ();
    type DialError = ();
    type Call = Account;
    type Answer = bool;

    fn open(&mut self, _: &(), head: &RequestHead<'_>, key: CallKey, now: Instant, reply: &mut Reply) -> Opening<Account> {
        assert!(!head.path().is_empty() && !head.method().is_empty());
        let call = Account { closed: false, path: head.path().to_vec() };
        if call.does(letter::REFUSED) {
            refuse(reply);
            let mut call = call;
            call.closed = true;
            return Opening::Refuse;
        }
        self.opened += 1;
        let awaiting = call.does(letter::AWAITS_BEFORE);
        if awaiting || call.does(letter::AWAITS_AT_FIRST_MESSAGE) {
            self.awaiting.push(key);
        }
        Opening::Forward {
            deadline: call.does(letter::DEADLINE).then(|| now + Duration::from_secs(3)),
            request: match () {
                () if call.does(letter::HELD) => RequestHook::Hold,
                () if call.does(letter::PEEKED) => RequestHook::Peek,
                () => RequestHook::Pass,
            },
            response: if call.does(letter::EACH_MESSAGE) { ResponseHook::EachMessage } else { ResponseHook::Pass },
            awaits_answer: awaiting,
            call,
        }
    }

    fn candidates(&mut self, call: &mut Account, endpoints: &mut Vec<EndpointKey>) {
        if !call.does(letter::NO_ENDPOINT) {
            endpoints.extend_from_slice(&self.endpoints);
        }
    }

    fn assigned(&mut self, call: &mut Account, (): &(), (): &(), _: Instant) -> Assignment {
        if call.does(letter::VOID_PEER) { Assignment::Void } else { Assignment::Go }
    }

    fn write_onward(&mut self, call: &Account, (): &(), (): &(), left: Option<Duration>, out: &mut HeadWriter<'_>) {
        assert_eq!(left.is_some(), call.does(letter::DEADLINE));
        out.field(b"chapar-call-id", b"onward");
    }

    fn write_back(&mut self, _: &Account, _: Back, out: &mut HeadWriter<'_>) {
        out.field(b"chapar-call-id", b"back");
    }

    fn first_message(&mut self, call: &mut Account, _: FirstMessage<'_>, reply: &mut Reply) -> Verdict {
        match () {
            () if call.does(letter::CUT_AT_FIRST_MESSAGE) => {
                refuse(reply);
                Verdict::Cut
            }
            () if call.does(letter::AWAITS_AT_FIRST_MESSAGE) => Verdict::Await,
            () => Verdict::Go,
        }
    }

    fn answered(&mut self, _: &mut Account, yes: bool, reply: &mut Reply) -> Verdict {
        if yes {
            return Verdict::Go;
        }
        refuse(reply);
        Verdict::Cut
    }

    fn transform(
        &mut self,
        call: &mut Account,
        compressed: bool,
        message: &[u8],
        out: &mut Vec<u8>,
        reply: &mut Reply,
    ) -> Transformed {
        if call.does(letter::CUT_IN_RESPONSE) {
            refuse(reply);
            return Transformed::Cut;
        }
        out.extend_from_slice(message);
        if call.does(letter::DOUBLED) {
            out.extend_from_slice(message);
        }
        Transformed::Send { compressed }
    }

    fn recheck(&mut self, call: &mut Account, _: Instant, reply: &mut Reply) -> bool {
        let cut = call.does(letter::CUT_AT_RECHECK);
        if cut {
            refuse(reply);
        }
        !cut
    }

    fn refusal(&mut self, call: &mut Account, cause: &Cause<'_, Self>, reply: &mut Reply) {
        trace!("the relay refuses {call:?}: {cause:?}");
        refuse(reply);
    }

    fn close(&mut self, mut call: Account, _: Ending<'_>, _: Flows, _: Instant) {
        call.closed = true;
        self.closed += 1;
    }
}
