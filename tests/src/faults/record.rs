//! What a sidecar itself puts on record: the files of its spool, read beside it for as long as they are there, and by nothing but
//! their description in `sidecar/docs/0004-account-of-calls.md`. So what the ledger holds is compared with something that is not the ledger.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use chapar_core::{
    policy::Side,
    record::{
        CallId, ChainEntry,
        frame::{Step, step},
    },
};

/// Between two looks. A file is there for at least as long as it takes to fill it, to sync it and to have it acknowledged.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Bytes before the first frame of a file.
const HEADER_BYTES: u64 = 40;
const ENDING: &str = ".seg";

/// Reads along in the spool of one sidecar until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    reading: Arc<Mutex<Reading>>,
    stop: Arc<AtomicBool>,
}

impl Watch {
    /// Begins to read the spool in `folder`, whose sidecar is the `side` of its calls.
    pub(crate) fn begin(folder: PathBuf, side: Side) -> Self {
        let reading = Arc::new(Mutex::new(Reading { folder, side, lanes: BTreeMap::new(), records: HashMap::new() }));
        let stop = Arc::new(AtomicBool::new(false));
        let (looking, stopped) = (Arc::clone(&reading), Arc::clone(&stop));
        thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                lock(&looking).look();
                thread::sleep(LOOK_EVERY);
            }
        });
        Self { reading, stop }
    }

    /// How many records of each call were put down since this was last asked.
    pub(crate) fn take(&self) -> HashMap<CallId, u32> {
        let mut reading = lock(&self.reading);
        reading.look();
        std::mem::take(&mut reading.records)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn lock(reading: &Mutex<Reading>) -> MutexGuard<'_, Reading> {
    reading.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Reading {
    folder: PathBuf,
    side: Side,
    lanes: BTreeMap<PathBuf, Lane>,
    records: HashMap<CallId, u32>,
}

/// The files of one lane that are still read.
#[derive(Debug, Default)]
struct Lane {
    held: BTreeMap<u64, Held>,
    /// All files up to this one are read to their end.
    done: u64,
}

/// An open file: its bytes stay until it is closed, though the sidecar has removed it.
#[derive(Debug)]
struct Held {
    file: File,
    /// From where nothing is read.
    offset: u64,
    /// Number of the last entry.
    sequence: u64,
}

impl Reading {
    /// Reads what is new. What cannot be read now may be another time; what cannot at all will be found missing.
    fn look(&mut self) {
        for folder in fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let numbers = numbers(&folder);
            if numbers.is_empty() {
                continue;
            }
            let lane = self.lanes.entry(folder.clone()).or_default();
            for (number, path) in numbers {
                if number > lane.done
                    && !lane.held.contains_key(&number)
                    && let Ok(file) = File::open(path)
                {
                    lane.held.insert(number, Held { file, offset: HEADER_BYTES, sequence: 0 });
                }
            }
            // One that stands ready is empty, and gives way to another of its number when the sidecar is started anew.
            lane.held.retain(|_, held| held.length() > 0);
            // Only the last one is written.
            let begun = lane.held.last_key_value().map_or(0, |(number, _)| *number);
            for held in lane.held.values_mut() {
                let _ = held.read(self.side, &mut self.records);
            }
            lane.held.retain(|number, _| *number >= begun);
            lane.done = lane.done.max(begun.saturating_sub(1));
        }
    }
}

impl Held {
    fn length(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }

    /// Counts the calls of `side` in what was written since.
    fn read(&mut self, side: Side, records: &mut HashMap<CallId, u32>) -> io::Result<()> {
        let new = usize::try_from(self.length().saturating_sub(self.offset)).unwrap_or(0);
        let mut bytes = vec![0; new];
        self.file.read_exact_at(&mut bytes, self.offset)?;
        let mut rest = &bytes[..];
        loop {
            // The end of a file may be torn, or not be there yet.
            let taken = match step(rest, self.sequence, false) {
                Step::Frame(frame, taken) => {
                    self.sequence = frame.sequence;
                    if let ChainEntry::Call(record) = frame.entry
                        && record.side == side
                    {
                        *records.entry(record.call_id).or_default() += 1;
                    }
                    taken
                }
                Step::Damage(taken) => taken,
                Step::More | Step::End => return Ok(()),
            };
            self.offset += taken as u64;
            rest = rest.get(taken..).unwrap_or_default();
        }
    }
}

/// The files of a lane, by their numbers.
fn numbers(lane: &PathBuf) -> Vec<(u64, PathBuf)> {
    let files = fs::read_dir(lane).into_iter().flatten().flatten();
    let numbered = files.filter_map(|file| {
        let name = file.file_name();
        Some((name.to_str()?.strip_suffix(ENDING)?.parse().ok()?, file.path()))
    });
    numbered.collect()
}
