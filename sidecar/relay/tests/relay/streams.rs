//! Whatever is sent arrives whole and in order, and no window is ever overrun, however data, windows and settings come together.

use chapar_relay::{
    Limits,
    frame::{Kind, Settings},
};
use proptest::prelude::*;

use crate::{
    calls::OK,
    world::{End, Frame, World, data, headers, request_block, response_head, settings, trailers, window_update},
};

const CALLS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    /// The client, or the server, sends so many bytes on a call, as far as it may.
    Send { client: bool, call: usize, bytes: usize },
    /// The receiver opens its windows.
    Open { client: bool, call: usize, bytes: u32 },
    /// The receiver sets another window for all calls.
    Set { client: bool, bytes: u32 },
    /// The socket takes only a part.
    Write { client: bool, bytes: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (any::<bool>(), 0..CALLS, 0_usize..40_000).prop_map(|(client, call, bytes)| Step::Send { client, call, bytes }),
        (any::<bool>(), 0..CALLS, 1_u32..30_000).prop_map(|(client, call, bytes)| Step::Open { client, call, bytes }),
        (any::<bool>(), 0_u32..50_000).prop_map(|(client, bytes)| Step::Set { client, bytes }),
        (any::<bool>(), 0_usize..20_000).prop_map(|(client, bytes)| Step::Write { client, bytes }),
    ]
}

/// What one end knows: what it may send, what it lets be sent, and what has come.
struct Side {
    end: End,
    /// What the relay lets this end send, on the connection and on each call.
    may_send: (i64, [i64; CALLS]),
    /// What this end lets the relay send.
    lets_send: (i64, [i64; CALLS]),
    initial: i64,
    sent: [Vec<u8>; CALLS],
    came: [Vec<u8>; CALLS],
    ended: [bool; CALLS],
    unread: Vec<u8>,
}

impl Side {
    fn new(end: End) -> Self {
        Self {
            end,
            may_send: (CONNECTION_WINDOW, [CALL_WINDOW; CALLS]),
            lets_send: (65_535, [65_535; CALLS]),
            initial: 65_535,
            sent: Default::default(),
            came: Default::default(),
            ended: [false; CALLS],
            unread: Vec::new(),
        }
    }

    fn take(&mut self, frames: Vec<Frame>) {
        for frame in frames {
            let call = (frame.stream as usize).saturating_sub(1) / 2;
            match frame.kind {
                Kind::Data => {
                    let bytes = frame.payload.len() as i64;
                    self.lets_send.0 -= bytes;
                    self.lets_send.1[call] -= bytes;
                    assert!(bytes == 0 || (self.lets_send.0 >= 0 && self.lets_send.1[call] >= 0), "a window is overrun");
                    self.came[call].extend(&frame.payload);
                    self.ended[call] |= frame.ends();
                }
                Kind::Headers => self.ended[call] |= frame.ends(),
                Kind::WindowUpdate if frame.stream == 0 => self.may_send.0 += i64::from(frame.word()),
                Kind::WindowUpdate => self.may_send.1[call] += i64::from(frame.word()),
                Kind::Settings => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Reads all that the relay has for this end.
    fn read(&mut self, world: &mut World) {
        while world.relay.next_dirty().is_some() {}
        loop {
            let output = world.relay.output(self.end.key).to_vec();
            if output.is_empty() {
                break;
            }
            self.unread.extend(&output);
            world.relay.written(self.end.key, output.len(), world.now);
        }
        let bytes = std::mem::take(&mut self.unread);
        let frames = world.parse(&mut self.end, &bytes);
        self.take(frames);
    }

    fn send(&mut self, world: &mut World, call: usize, bytes: usize) {
        let room = self.may_send.0.min(self.may_send.1[call]).max(0) as usize;
        let from = self.sent[call].len();
        let part: Vec<u8> = (from..from + bytes.min(room)).map(|at| (at % 251) as u8 ^ call as u8).collect();
        self.may_send.0 -= part.len() as i64;
        self.may_send.1[call] -= part.len() as i64;
        if !part.is_empty() {
            world.send(&self.end, &data(call as u32 * 2 + 1, &part, false));
        }
        self.sent[call].extend(part);
    }

    fn open(&mut self, world: &mut World, call: usize, bytes: u32) {
        world.send(&self.end, &window_update(call as u32 * 2 + 1, bytes));
        world.send(&self.end, &window_update(0, bytes));
        self.lets_send.0 += i64::from(bytes);
        self.lets_send.1[call] += i64::from(bytes);
    }

    fn set(&mut self, world: &mut World, bytes: u32) {
        // What is on its way was sent within the window of before.
        self.read(world);
        world.send(&self.end, &settings(&Settings { window_bytes: Some(bytes), ..Settings::default() }));
        for window in &mut self.lets_send.1 {
            *window += i64::from(bytes) - self.initial;
        }
        self.initial = i64::from(bytes);
    }
}

const CALL_WINDOW: i64 = 65_535;
const CONNECTION_WINDOW: i64 = 100_000;

fn run(steps: Vec<Step>) {
    let limits = Limits {
        call_window_bytes: CALL_WINDOW as u32,
        connection_window_bytes: CONNECTION_WINDOW as u32,
        output_bytes_soft_max: 20_000,
        settings_max: 10_000,
        ..Limits::default()
    };
    let (mut world, client, server) = World::pair(limits);
    let (mut client, mut server) = (Side::new(client), Side::new(server));
    for call in 0..CALLS {
        world.send(&client.end, &headers(call as u32 * 2 + 1, &request_block(), false));
    }
    // What the relay says before the first call is counted in the windows above.
    client.read(&mut world);
    server.read(&mut world);
    (client.may_send, server.may_send) = ((CONNECTION_WINDOW, [CALL_WINDOW; CALLS]), (CONNECTION_WINDOW, [CALL_WINDOW; CALLS]));
    for call in 0..CALLS {
        world.send(&server.end, &headers(call as u32 * 2 + 1, &response_head(), false));
    }
    for step in steps {
        match step {
            Step::Send { client: true, call, bytes } => client.send(&mut world, call, bytes),
            Step::Send { client: false, call, bytes } => server.send(&mut world, call, bytes),
            Step::Open { client: true, call, bytes } => client.open(&mut world, call, bytes),
            Step::Open { client: false, call, bytes } => server.open(&mut world, call, bytes),
            Step::Set { client: true, bytes } => client.set(&mut world, bytes),
            Step::Set { client: false, bytes } => server.set(&mut world, bytes),
            Step::Write { client: is_client, bytes } => {
                let side = if is_client { &mut client } else { &mut server };
                let output = world.relay.output(side.end.key);
                let part = output[..bytes.min(output.len())].to_vec();
                side.unread.extend(&part);
                world.relay.written(side.end.key, part.len(), world.now);
            }
        }
    }
    finish(&mut world, &mut client, &mut server);
    for (sent, came) in [(&client.sent, &server.came), (&server.sent, &client.came)] {
        assert!(sent == came, "what was sent is not what came");
    }
    assert_eq!(world.end(), vec![OK; CALLS]);
}

/// Both say their last, and open their windows until all has come.
fn finish(world: &mut World, client: &mut Side, server: &mut Side) {
    for call in 0..CALLS {
        world.send(&client.end, &data(call as u32 * 2 + 1, b"", true));
    }
    let mut rounds = 0;
    let arrived = |side: &Side, other: &Side| (0..CALLS).all(|call| side.came[call].len() == other.sent[call].len());
    while !(arrived(client, server) && arrived(server, client)) {
        for call in 0..CALLS {
            client.open(world, call, 50_000);
            server.open(world, call, 50_000);
        }
        client.read(world);
        server.read(world);
        rounds += 1;
        assert!(rounds < 1_000, "data got stuck");
    }
    for call in 0..CALLS {
        world.send(&server.end, &headers(call as u32 * 2 + 1, &trailers("0"), true));
    }
    client.read(world);
    server.read(world);
    assert!(client.ended.iter().chain(&server.ended).all(|ended| *ended));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_sent_arrives(steps in proptest::collection::vec(step(), 0..120)) {
        run(steps);
    }
}
