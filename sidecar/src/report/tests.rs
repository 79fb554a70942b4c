use std::{fs, path::PathBuf};

use chapar_core::{
    policy::{Reason, Side},
    record::{
        CallId, Loss, LossCause, TraceContext,
        chain::{Hash, digest, next},
    },
};
use chapar_daemon::vital::Vital;

use super::*;
use crate::config::WhenFull;

const NOW: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);

fn call(number: u64) -> CallRecord<'static> {
    let trace = TraceContext { trace_id: [1; 16], span_id: [2; 8], parent_span_id: None, sampled: true };
    let id = CallId::from_bytes(u128::from(number).to_be_bytes());
    CallRecord { consumer: "ipm", provider: "cra", ..CallRecord::begun(id, trace, Side::Consumer, "/a.B/C", NOW, "127.0.0.1:1") }
}

fn number(record: &CallRecord<'_>) -> u64 {
    u64::try_from(u128::from_be_bytes(*record.call_id.as_bytes())).unwrap()
}

/// Files of the least size, and no more of them than four.
fn small(when_full: WhenFull) -> config::Spool {
    config::Spool { segment_bytes: 64 * 1024, bytes_max: 256 * 1024, sync_interval_ms: 2, when_full }
}

fn open(folder: &Path, config: config::Spool) -> Reporter {
    let spool = Spool::open(folder, config, 1, Clock::wound(NOW), &Vital::default()).unwrap();
    Reporter { spool, onlookers: Arc::default() }
}

fn put(writer: &mut SpoolWriter, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        writer.put(&call(number));
        writer.commit();
    }
}

/// What one partition's reader finds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    calls: Vec<u64>,
    losses: Vec<Loss>,
    /// Sequence numbers of all entries.
    sequence: Vec<u64>,
}

/// Reads everything that was written; acknowledges it if `taken`.
fn read(reporter: &Reporter, reader: &mut SpoolReader, taken: bool) -> (Read, Hash) {
    let mut read = Read::default();
    let (mut head, mut expected) = (None, None);
    while let Some(batch) = reader
        .next(reader.segments().committed(), reporter.spool.folder(), |numbered| {
            match numbered.entry {
                ChainEntry::Call(record) => read.calls.push(number(record)),
                ChainEntry::Loss(loss) => read.losses.push(*loss),
            }
            read.sequence.push(numbered.sequence);
            expected = Some(next(expected.unwrap_or(Hash([0; 32])), digest(numbered.canonical)));
            true
        })
        .unwrap()
    {
        head = Some(batch.after.head);
        if !taken {
            break;
        }
        reader.acknowledge(batch.after).unwrap();
    }
    (read, head.unwrap_or(Hash([0; 32])))
}

fn reader(reporter: &Reporter) -> SpoolReader {
    reporter.spool.take_readers().remove(0)
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder.join("000"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "seg") && fs::metadata(path).unwrap().len() > 0)
        .collect();
    paths.sort();
    paths
}

#[test]
fn what_was_committed_outlives_the_process_and_the_chain_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = small(WhenFull::Refuse);
    put(&mut open(folder.path(), config).writer().unwrap(), 1..=5);
    let reporter = open(folder.path(), config);
    put(&mut reporter.writer().unwrap(), 6..=8);
    assert_eq!(reporter.depth(), 8);
    let mut reader = reader(&reporter);
    let (read, _) = read(&reporter, &mut reader, false);
    assert_eq!(read.calls, (1..=8).collect::<Vec<_>>());
    assert_eq!(read.sequence, (1..=8).collect::<Vec<_>>());
    assert_eq!(read.losses, []);
}

#[test]
fn nothing_is_on_record_that_was_not_committed() {
    let folder = tempfile::tempdir().unwrap();
    let reporter = open(folder.path(), small(WhenFull::Refuse));
    let mut writer = reporter.writer().unwrap();
    writer.put(&call(1));
    assert!(reporter.take(10).is_empty());
    writer.commit();
    assert_eq!(reporter.take(10).iter().map(|kept| number(&kept.record())).collect::<Vec<_>>(), [1]);
    assert!(reporter.take(10).is_empty(), "an onlooker sees each record once");
}

#[test]
fn what_was_acknowledged_is_not_read_again_by_the_next_process_and_its_files_go() {
    let folder = tempfile::tempdir().unwrap();
    let config = small(WhenFull::Refuse);
    let head = {
        let reporter = open(folder.path(), config);
        let mut writer = reporter.writer().unwrap();
        let mut reader = reader(&reporter);
        for number in 1..=1_000 {
            wait(|| writer.admits());
            put(&mut writer, [number]);
        }
        let before = segments(folder.path()).len();
        let (all, head) = read(&reporter, &mut reader, true);
        assert_eq!(all.calls.len(), 1_000);
        assert!(segments(folder.path()).len() < before, "files that are acknowledged go");
        assert_eq!(reporter.depth(), 0);
        put(&mut writer, 1_001..=1_010);
        head
    };
    let reporter = open(folder.path(), config);
    assert_eq!(reporter.depth(), 10);
    let mut reader = reader(&reporter);
    let mut first = None;
    let batch = reader.next(reader.segments().committed(), folder.path(), |numbered| {
        first.get_or_insert(digest(numbered.canonical));
        numbered.sequence <= 1_001
    });
    let batch = batch.unwrap().unwrap();
    assert_eq!((batch.before.head, batch.first), (head, 1_001));
    assert_eq!(batch.after.head, next(head, first.unwrap()));
}

#[test]
fn a_file_cut_off_anywhere_loses_what_was_cut_off_and_no_number_is_given_away_twice() {
    let folder = tempfile::tempdir().unwrap();
    let config = small(WhenFull::Refuse);
    let reporter = open(folder.path(), config);
    let mut writer = reporter.writer().unwrap();
    let mut ends = vec![40];
    for number in 1..=4 {
        put(&mut writer, [number]);
        ends.push(fs::metadata(&segments(folder.path())[0]).unwrap().len());
    }
    drop((writer, reporter));
    let file = segments(folder.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    for cut in 0..=whole.len() {
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir(copy.path().join("000")).unwrap();
        fs::write(copy.path().join("000").join(file.file_name().unwrap()), &whole[..cut]).unwrap();
        fs::copy(folder.path().join("000/acknowledged"), copy.path().join("000/acknowledged")).unwrap();
        let reporter = open(copy.path(), config);
        put(&mut reporter.writer().unwrap(), [9]);
        let mut reader = reader(&reporter);
        let (read, _) = read(&reporter, &mut reader, true);
        let kept = ends.iter().skip(1).filter(|end| **end <= cut as u64).count() as u64;
        assert_eq!(read.calls, (1..=kept).chain([9]).collect::<Vec<_>>(), "cut at {cut}");
        let torn = cut > 40 && !ends.contains(&(cut as u64));
        let told: Vec<_> = read.losses.iter().map(|loss| (loss.cause, loss.records, loss.number)).collect();
        let expected = if torn { vec![(LossCause::Damaged, 1, kept + 1)] } else { vec![] };
        assert_eq!(told, expected, "cut at {cut}");
        assert!(read.sequence.is_sorted_by(|earlier, later| earlier < later));
    }
}

#[test]
fn any_flipped_bit_costs_one_record_which_is_counted_told_and_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let config = small(WhenFull::Refuse);
    let reporter = open(folder.path(), config);
    put(&mut reporter.writer().unwrap(), 1..=3);
    drop(reporter);
    let file = segments(folder.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    let frame = (whole.len() - 40) / 3;
    for at in (0..whole.len()).step_by(3) {
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir(copy.path().join("000")).unwrap();
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(copy.path().join("000").join(file.file_name().unwrap()), &flipped).unwrap();
        let reporter = open(copy.path(), config);
        put(&mut reporter.writer().unwrap(), [9]);
        let mut reader = reader(&reporter);
        let (read, _) = read(&reporter, &mut reader, true);
        let hit = at.checked_sub(40).map(|at| (at / frame) as u64 + 1);
        let left: Vec<_> = (1..=3).filter(|number| Some(*number) != hit).chain([9]).collect();
        assert_eq!(read.calls, left, "flipped at {at}");
        let lost: u64 = read.losses.iter().map(|loss| loss.records).sum();
        // A flip in the first file's only frame before an unknown beginning leaves nothing that tells what was there.
        assert!(lost == u64::from(hit.is_some()) || hit == Some(1), "flipped at {at}: {:?}", read.losses);
        if hit.is_some() {
            assert!(fs::read_dir(copy.path().join("damaged")).unwrap().count() == 1, "flipped at {at}");
        }
    }
}

#[test]
fn a_full_spool_admits_no_call_keeps_those_that_run_and_admits_again_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let reporter = open(folder.path(), small(WhenFull::Refuse));
    let mut writer = reporter.writer().unwrap();
    let mut carried = 0;
    while writer.admits() {
        carried += 1;
        put(&mut writer, [carried]);
        if !writer.admits() {
            // The keeper makes the next file ready, as long as it may.
            reporter.spool.wake_keeper();
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
    assert!(carried > 1_000, "{carried}");
    // Calls that ran already still find room; what is refused for want of it takes none.
    put(&mut writer, carried + 1..=carried + 50);
    for number in 0..7 {
        writer.put(&CallRecord { reason: Some(Reason::RecordsFull), ..call(1_000_000 + number) });
    }
    writer.commit();
    assert_eq!(reporter.lost(), 7);
    let mut reader = reader(&reporter);
    assert_eq!(read(&reporter, &mut reader, true).0.calls, (1..=carried + 50).collect::<Vec<_>>());
    wait(|| {
        writer.commit();
        writer.admits()
    });
    put(&mut writer, [5_000_000]);
    let (after, _) = read(&reporter, &mut reader, true);
    assert_eq!(after.calls, [5_000_000]);
    let told: Vec<_> = after.losses.iter().map(|loss| (loss.cause, loss.records)).collect();
    assert_eq!(told, [(LossCause::SpoolFull, 7)], "the loss itself is on record");
}

#[test]
fn a_lane_makes_its_next_file_itself_while_the_keeper_is_busy_and_calls_are_carried_on() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody keeps this spool: as while the disk takes its time to sync, and files fill up meanwhile.
    let roomy = config::Spool { bytes_max: 16 * 64 * 1024, ..small(WhenFull::Refuse) };
    let reporter =
        Reporter { spool: Spool::found(folder.path(), roomy, 1, Clock::wound(NOW)).unwrap(), onlookers: Arc::default() };
    let mut writer = reporter.writer().unwrap();
    let mut carried = 0;
    while writer.admits() {
        carried += 1;
        put(&mut writer, [carried]);
    }
    assert_eq!(segments(folder.path()).len(), 16, "all files that spool.bytesMax has room for");
    // What runs when there is no room for another file still finds its place in those that are there.
    put(&mut writer, carried + 1..=carried + 50);
    assert_eq!((reporter.lost(), reporter.depth()), (0, carried + 50));
    let mut reader = reader(&reporter);
    assert_eq!(read(&reporter, &mut reader, true).0.calls, (1..=carried + 50).collect::<Vec<_>>());
    // Files have gone: the partition finds that out by itself too, as soon as it looks again.
    wait(|| {
        put(&mut writer, [1_000_000]);
        writer.admits()
    });
}

#[test]
fn a_loss_is_on_record_even_if_the_process_ends_before_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let config = small(WhenFull::Count);
    let reporter = open(folder.path(), config);
    let mut writer = reporter.writer().unwrap();
    let mut carried = 0;
    while reporter.lost() == 0 {
        assert!(writer.admits(), "the policy is to go on");
        carried += 1;
        writer.put(&call(carried));
        if carried % 100 == 0 {
            writer.commit();
        }
    }
    writer.commit();
    // As kill -9 would: nothing of the partition's memory is written any more.
    std::mem::forget(writer);
    let (lost, depth) = (reporter.lost(), reporter.depth());
    let reporter = Reporter { spool: Arc::clone(&reporter.spool), onlookers: Arc::default() };
    let mut reader = reader(&reporter);
    let (before, _) = read(&reporter, &mut reader, true);
    assert_eq!(before.calls.len() as u64, depth);
    let again = open(folder.path(), config);
    let _writer = again.writer().unwrap();
    let mut reader = super::tests::reader(&again);
    let (after, _) = read(&again, &mut reader, true);
    let told: u64 = after.losses.iter().map(|loss| loss.records).sum();
    assert_eq!(told, carried - before.calls.len() as u64, "all of {carried} are accounted for; {lost} were refused room");
    // And it is told once.
    drop((reader, _writer, again));
    let once_more = open(folder.path(), config);
    let _writer = once_more.writer().unwrap();
    assert_eq!(once_more.lost(), 0);
}

#[test]
fn a_lane_of_an_earlier_process_without_a_writer_now_is_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let config = small(WhenFull::Refuse);
    {
        let reporter = open(folder.path(), config);
        let (mut one, mut two) = (reporter.writer().unwrap(), reporter.writer().unwrap());
        put(&mut one, [1]);
        put(&mut two, [2]);
    }
    let reporter = open(folder.path(), config);
    let _one = reporter.writer().unwrap();
    let mut calls: Vec<_> = reporter.take(10).iter().map(|kept| number(&kept.record())).collect();
    calls.sort_unstable();
    assert_eq!(calls, [1, 2]);
}

#[test]
fn only_what_a_power_cut_would_leave_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    let reporter = open(folder.path(), config::Spool { sync_interval_ms: 3_600_000, ..small(WhenFull::Refuse) });
    let mut writer = reporter.writer().unwrap();
    put(&mut writer, 1..=3);
    let mut reader = reader(&reporter);
    let exported = |reader: &mut SpoolReader| reader.next(reader.segments().synced(), folder.path(), |_| true).unwrap();
    assert_eq!(exported(&mut reader), None);
    reporter.sync();
    assert_eq!(exported(&mut reader).map(|batch| batch.after.sequence), Some(3));
}

fn wait(mut until: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if until() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("it did not happen");
}
