//! Whom a call asks about: on record, or else the call is refused.

use chapar_core::{policy::Reason, record::Outcome};
use chapar_relay::{FirstMessage, Flows, Gate as _, Opening, RequestHook, Verdict};

use super::world::{CONSUMER, Changes, NOW, PATH, World};

#[test]
fn whom_a_call_asks_about_is_on_record_as_a_hash() {
    let mut world = World::new(CONSUMER);
    world.in_force(&Changes { subject: true, ..Changes::default() });
    let caller = world.application();
    let Opening::Forward { mut call, request, .. } = world.arrives(&caller, PATH, &[]) else { panic!("refused") };
    assert_eq!(request, RequestHook::Peek);
    let message = [&[0x0a, 10][..], b"0013542419"].concat();
    let first = FirstMessage::Whole { compressed: false, message: &message };
    assert_eq!(world.gate.first_message(&mut call, first, &mut world.reply), Verdict::Go);
    drop(call);
    let subject = world.record().record().subject.unwrap();
    let hex: String = subject.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((subject.key, hex.as_str()), (7, "5cbcded365e79f54f6c93859c4cf5b5d"));
}

/// What a first message of a call with this `grpc-encoding` comes to: whether a subject is on record, or why it is refused.
fn looked_at(world: &mut World, encoding: &[&str], message: FirstMessage<'_>) -> Result<bool, Reason> {
    let fields: Vec<_> = encoding.iter().map(|coding| ("grpc-encoding", *coding)).collect();
    let mut call = world.forwarded(&fields);
    let verdict = world.gate.first_message(&mut call, message, &mut world.reply);
    world.gate.close(call, chapar_relay::Ending::Told, Flows::default(), world.began);
    let kept = world.record();
    let record = kept.record();
    match record.reason {
        None => {
            assert_eq!(verdict, Verdict::Go);
            Ok(record.subject.is_some())
        }
        Some(reason) => {
            assert_eq!((verdict, record.outcome, record.subject), (Verdict::Cut, Outcome::Refused, None));
            Err(reason)
        }
    }
}

#[test]
fn a_first_message_that_cannot_be_read_for_its_subject_is_refused() {
    const UNREADABLE: Result<bool, Reason> = Err(Reason::SubjectUnreadable);
    let plain = [&[0x0a, 10][..], b"0013542419"].concat();
    let several = [&plain[..], &[0x0a, 10], b"0013542427"].concat();
    let gzip =
        [31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 227, 226, 50, 48, 48, 52, 54, 53, 49, 50, 49, 180, 4, 0, 200, 162, 109, 5, 12, 0, 0, 0];
    let deflate = [120, 156, 227, 226, 50, 48, 48, 52, 54, 53, 49, 50, 49, 180, 4, 0, 11, 176, 2, 18];
    let whole = |message| FirstMessage::Whole { compressed: false, message };
    let packed = |message| FirstMessage::Whole { compressed: true, message };
    let mut world = World::new(CONSUMER);
    world.in_force(&Changes { subject: true, ..Changes::default() });
    for (what, encoding, message, came_to) in [
        ("as it is", &[][..], whole(&plain[..]), Ok(true)),
        ("not compressed though it might be", &["br"], whole(&plain), Ok(true)),
        ("gzip", &["gzip"], packed(&gzip), Ok(true)),
        ("deflate", &["deflate"], packed(&deflate), Ok(true)),
        ("the field is absent", &[], whole(&[0x12, 1, 0x78]), Ok(false)),
        ("the field is empty", &[], whole(&[0x0a, 0]), Ok(false)),
        ("the field holds no ID", &[], whole(&[0x0a, 1, 0x78]), UNREADABLE),
        ("the field is a number", &[], whole(&[0x08, 1]), UNREADABLE),
        ("one ID and another", &[], whole(&several), UNREADABLE),
        ("empty", &[], whole(&[]), Ok(false)),
        ("missing", &[], FirstMessage::Missing, Ok(false)),
        ("torn", &[], FirstMessage::Torn, UNREADABLE),
        ("too long", &[], FirstMessage::TooLong { bytes_max: 9 }, UNREADABLE),
        ("compressed by nobody knows what", &["br"], packed(&gzip), UNREADABLE),
        ("compressed by what is not said", &[], packed(&gzip), UNREADABLE),
        ("compressed by either", &["gzip", "br"], packed(&gzip), UNREADABLE),
        ("gzip cut off", &["gzip"], packed(&gzip[..20]), UNREADABLE),
        ("gzip and more", &["gzip"], packed(&[&gzip[..], &[0]].concat()), UNREADABLE),
        ("no gzip", &["gzip"], packed(&plain), UNREADABLE),
        ("no message", &[], whole(&plain[..5]), UNREADABLE),
    ] {
        assert_eq!(looked_at(&mut world, encoding, message), came_to, "{what}");
    }
}

#[test]
fn a_pair_has_keys_of_its_own_and_the_one_in_force_hashes() {
    let key_of = |changes: Changes| {
        let mut world = World::new(CONSUMER);
        world.in_force(&Changes { subject: true, ..changes });
        let mut call = world.forwarded(&[]);
        let message = [&[0x0a, 10][..], b"0013542419"].concat();
        let verdict =
            world.gate.first_message(&mut call, FirstMessage::Whole { compressed: false, message: &message }, &mut world.reply);
        drop(call);
        let kept = world.record();
        let record = kept.record();
        (verdict, record.subject.map(|subject| subject.key), record.reason)
    };
    let keys = |no_shared_key| Changes {
        subject_keys: vec![(NOW.plus_ms(-1), 8), (NOW.plus_ms(60_000), 9)],
        no_shared_key,
        ..Changes::default()
    };
    assert_eq!(key_of(keys(true)), (Verdict::Go, Some(8), None));
    assert_eq!(key_of(keys(false)), (Verdict::Go, Some(8), None), "not by the key that everybody has");
    assert_eq!(key_of(Changes::default()), (Verdict::Go, Some(7), None), "an older control plane gives that alone");
    let none = Changes { no_shared_key: true, ..Changes::default() };
    let (verdict, key, _) = key_of(none);
    assert_eq!((verdict, key), (Verdict::Cut, None), "who cannot be put on record is not asked about");
}

#[test]
fn whoever_cannot_be_read_is_told_what_to_do_about_it() {
    let mut world = World::new(CONSUMER);
    world.in_force(&Changes { subject: true, ..Changes::default() });
    assert_eq!(looked_at(&mut world, &[], FirstMessage::TooLong { bytes_max: 4_321 }), Err(Reason::SubjectUnreadable));
    let told = String::from_utf8_lossy(world.reply.block()).into_owned();
    for part in ["grpc-status", "longer than 4321 bytes", "it must send a shorter one"] {
        assert!(told.contains(part), "{part} in {told}");
    }
}
