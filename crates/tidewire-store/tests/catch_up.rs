//! How much of the logs is read: by who catches up, and by who opens a store.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tidewire_log::{File, Files, Lock, Preallocation, SimFiles};
use tidewire_store::suite::{Tester, message, session};
use tidewire_store::{
    Answer, Config, CursorState, DurableEngine, Group, Limits, Offset, Owner, Request, ShardId,
};

/// A disk that counts what is read.
#[derive(Clone, Debug)]
struct Counting {
    disk: SimFiles,
    read: Arc<AtomicU64>,
}

#[derive(Debug)]
struct CountingFile {
    file: Arc<dyn File>,
    read: Arc<AtomicU64>,
}

impl Counting {
    fn new() -> Self {
        Self {
            disk: SimFiles::new(1),
            read: Arc::default(),
        }
    }

    fn take_read(&self) -> u64 {
        self.read.swap(0, Ordering::SeqCst)
    }

    fn wrap(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(CountingFile {
            file,
            read: Arc::clone(&self.read),
        })
    }
}

impl Files for Counting {
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.disk.open(name).map(|file| self.wrap(file))
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.disk.create(name).map(|file| self.wrap(file))
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        self.disk.lock(name)
    }
}

impl File for CountingFile {
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let read = self.file.read_at(into, at)?;
        self.read.fetch_add(read as u64, Ordering::SeqCst);
        Ok(read)
    }
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file.write_at(bytes, at)
    }
    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
    fn size_bytes(&self) -> io::Result<u64> {
        self.file.size_bytes()
    }
    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.file.set_size(bytes)
    }
    fn preallocate(&self, bytes: u64) -> io::Result<()> {
        self.file.preallocate(bytes)
    }
}

const SHARD: ShardId = ShardId(0);

fn open(disk: &Counting) -> Tester {
    let config = Config {
        shards: 1,
        seed: 5,
        segment_bytes: 2 << 20,
        reserve_bytes: 0,
        checkpoint_bytes: 1 << 30,
        preallocation: Preallocation::None,
        limits: Limits::default(),
    };
    let (engine, report) = DurableEngine::open(Arc::new(disk.clone()), config).unwrap();
    assert!(report.is_sound(), "{report}");
    Tester::new(Box::new(engine))
}

/// Messages to as many topics as there are, some of which repeat, in groups of one to three; all are owed.
fn fill(store: &mut Tester, from: usize, to: usize) {
    let owner = Owner::Session(session("all"));
    store.store(SHARD, Group::new().put_owner(&owner, ["#"]));
    let mut at = from;
    while at < to {
        let mut group = Group::new();
        for _ in 0..=at % 3 {
            let topic = match at % 7 {
                0 => format!("often/{}", at % 5),
                1 => format!("deep/{}/{}/x", at % 100, at),
                2 => format!("/{at}"),
                _ => format!("device/{at}/x"),
            };
            group = group.append(&message(&topic, &format!("{at:300}")));
            at += 1;
        }
        store.store(SHARD, group);
    }
}

const MANY: usize = 20_000;

#[test]
fn filters_find_the_same_in_segments_of_many_topics_as_everywhere() {
    let disk = Counting::new();
    let mut store = open(&disk);
    fill(&mut store, 0, MANY);
    let all = store.read(0, Offset::ZERO, &[]);
    assert!(all.len() >= MANY);
    let filters: [&[&str]; 12] = [
        &["device/3/x"],
        &["device/19999/x", "often/2"],
        &["often/+"],
        &["often/#"],
        &["deep/17/#"],
        &["deep/17/+/x"],
        &["device/10/#"],
        &["/9"],
        &["+/10"],
        &["device/11/x/#"],
        &["nothing/here", "device/none/#"],
        &["#"],
    ];
    for filter in filters {
        for from in [0, MANY / 3, MANY - 10] {
            let from = all[from].0;
            let matches = |text: &str| {
                let topic = text.split('=').next().unwrap_or_default();
                filter
                    .iter()
                    .any(|filter| tidewire_codec::topic::matches(filter, topic))
            };
            let expected: Vec<_> = all
                .iter()
                .filter(|(at, text)| *at >= from && matches(text))
                .cloned()
                .collect();
            assert_eq!(
                store.read(0, from, filter),
                expected,
                "{filter:?} from {}",
                from.0
            );
        }
    }
}

#[test]
fn a_session_that_catches_up_reads_only_where_its_topics_are() {
    let disk = Counting::new();
    let mut store = open(&disk);
    fill(&mut store, 0, MANY);
    let size = disk.disk.used_bytes();
    // The first time the footers' checksums are proved.
    assert_eq!(store.read(0, Offset::ZERO, &["device/3/x"]).len(), 1);
    disk.take_read();
    for device in [3, 5_001, 10_006, 15_004] {
        let filter = format!("device/{device}/#");
        assert_eq!(store.read(0, Offset::ZERO, &[&filter]).len(), 1, "{filter}");
        // A block of the log, and an index bucket of each segment.
        let read = disk.take_read();
        assert!(read < size / 10, "{read} of {size} bytes read for {filter}");
    }
    assert_eq!(store.read(0, Offset::ZERO, &["nobody/#"]), []);
    let read = disk.take_read();
    assert!(read < size / 10, "{read} of {size} bytes read for nothing");
}

/// Headers and trailers of what is sealed, the last segment, the checkpoint: not the backlog.
#[test]
fn opening_reads_no_record_of_sealed_segments_behind_the_checkpoint() {
    let mut read = Vec::new();
    for messages in [MANY / 4, MANY] {
        let disk = Counting::new();
        let mut store = open(&disk);
        fill(&mut store, 0, messages);
        store.maintain();
        drop(store);
        disk.take_read();
        drop(open(&disk));
        read.push(disk.take_read());
    }
    // Four times the backlog, three segments more, of which each costs a header and a trailer. How much of the last one has
    // been written is the rest of the difference.
    assert!(
        read[1] < (2 << 20) + (1 << 20) && read[0] < (2 << 20) + (1 << 20),
        "{read:?}"
    );
}

/// Segments of more topics than a dictionary holds are judged by samples.
#[test]
fn a_session_that_never_returns_does_not_pin_segments_of_many_topics() {
    let disk = Counting::new();
    let mut store = open(&disk);
    let gone = Owner::Session(session("gone"));
    store.store(SHARD, Group::new().put_owner(&gone, ["often/+"]));
    fill(&mut store, 0, MANY);
    let before = disk.disk.used_bytes();
    let Answer::Heads(heads) = store.ask(Request::Heads) else {
        panic!("no heads");
    };
    let done = CursorState {
        position: heads[0],
        acked: Vec::new(),
    };
    let all = Owner::Session(session("all"));
    store.store(SHARD, Group::new().put_cursor(&all, SHARD, &done));
    store.maintain();
    let after = disk.disk.used_bytes();
    // One message of seven is owed, in groups of up to three.
    assert!(
        after < before * 2 / 7 * 2 + (2 << 20),
        "{after} of {before}"
    );
    assert!(store.read(0, Offset::ZERO, &["often/+"]).len() >= MANY / 7);
}
