//! Outbound queues against a plain byte vector.

use std::io::IoSlice;
use std::sync::Arc;

use proptest::prelude::*;
use tidewire_core::{OutPool, OutQueue};

type Shared = Arc<[u8]>;

const CHUNK_BYTES_MIN: usize = OutQueue::<Shared>::CHUNK_BYTES_MIN;
const CHUNK_BYTES_MAX: usize = OutQueue::<Shared>::CHUNK_BYTES_MAX;
const SPARE_BYTES_MAX: usize = OutPool::<Shared>::SPARE_BYTES_MAX;

fn all(queue: &OutQueue<Shared>) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); 1024];
    let filled = queue.io_slices(&mut slices);
    slices[..filled]
        .iter()
        .map(|slice| &**slice)
        .collect::<Vec<&[u8]>>()
        .concat()
}

fn bytes(seed: u8, len: usize) -> Vec<u8> {
    let period: Vec<u8> = (0..=250)
        .map(|at| seed.wrapping_mul(31).wrapping_add(at))
        .collect();
    let mut bytes = period.repeat(len / period.len() + 1);
    bytes.truncate(len);
    bytes
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![16 => 0..60_usize, 6 => 0..3_000_usize, 1 => 0..100_000_usize]
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Tail { reserve: usize, append: usize },
    Shared { len: usize, from: usize, to: usize },
    Advance(usize),
    AdvanceFirst,
    MoveFront(usize),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => size().prop_map(Step::Push),
        2 => (size(), size()).prop_map(|(reserve, append)| Step::Tail { reserve, append }),
        2 => (size(), size(), size()).prop_map(|(len, from, to)| Step::Shared { len, from, to }),
        3 => size().prop_map(Step::Advance),
        1 => Just(Step::AdvanceFirst),
        2 => size().prop_map(Step::MoveFront),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    #[test]
    fn any_history_sends_the_bytes_of_the_model(steps in prop::collection::vec((0..2_usize, step()), 1..150)) {
        let mut pool = OutPool::new();
        let mut queues: [OutQueue<Shared>; 2] = [OutQueue::new(), OutQueue::new()];
        let mut models = [Vec::new(), Vec::new()];
        for (number, (which, step)) in steps.into_iter().enumerate() {
            if let Step::MoveFront(bytes) = step {
                let [first, second] = &mut queues;
                let moved = first.move_front_to(&mut pool, second, bytes);
                prop_assert!(moved >= bytes.min(models[0].len()));
                let front: Vec<u8> = models[0].drain(..moved).collect();
                models[1].extend(front);
                prop_assert_eq!(first.len(), models[0].len());
                prop_assert!(all(second) == models[1]);
                continue;
            }
            let (queue, model) = (&mut queues[which], &mut models[which]);
            let seed = number as u8;
            match step {
                Step::Push(len) => {
                    queue.push(&mut pool, &bytes(seed, len));
                    model.extend(bytes(seed, len));
                }
                Step::Tail { reserve, append } => {
                    let tail = queue.tail(&mut pool, reserve);
                    prop_assert!(tail.capacity() - tail.len() >= reserve);
                    tail.extend(bytes(seed, append));
                    model.extend(bytes(seed, append));
                }
                Step::Shared { len, from, to } => {
                    let payload = bytes(seed, len);
                    queue.push_shared(&mut pool, payload.clone().into(), from..to);
                    model.extend(payload.get(from..to.min(len)).unwrap_or_default());
                }
                Step::Advance(written) => {
                    queue.advance(&mut pool, written);
                    model.drain(..written.min(model.len()));
                }
                Step::AdvanceFirst => {
                    let written = queue.first().len();
                    prop_assert_eq!(written == 0, model.is_empty());
                    prop_assert_eq!(queue.first(), &model[..written]);
                    queue.advance(&mut pool, written);
                    model.drain(..written);
                }
                Step::MoveFront(_) => {}
                Step::Clear => {
                    queue.clear(&mut pool);
                    model.clear();
                }
            }
            prop_assert_eq!(queue.len(), model.len());
            prop_assert_eq!(queue.is_empty(), model.is_empty());
            prop_assert!(all(queue) == *model);
            prop_assert!(pool.spare_bytes() <= SPARE_BYTES_MAX);
        }
        for (queue, model) in queues.iter_mut().zip(&models) {
            prop_assert!(all(queue) == *model);
            queue.advance(&mut pool, model.len());
            prop_assert_eq!(queue.heap_bytes(), 0);
        }
    }
}

#[test]
fn an_idle_queue_is_a_pointer_that_owns_nothing() {
    assert_eq!(size_of::<OutQueue<Shared>>(), 8);
    let mut pool = OutPool::new();
    let mut queue: OutQueue<Shared> = OutQueue::new();
    queue.push(&mut pool, b"");
    queue.push_shared(&mut pool, Arc::from(&b"abc"[..]), 3..9);
    assert_eq!(queue.heap_bytes(), 0);
    queue.tail(&mut pool, 10);
    assert!(queue.is_empty());
    queue.advance(&mut pool, 0);
    assert_eq!(queue.heap_bytes(), 0);
}

#[test]
fn a_pooled_chunk_is_used_again() {
    let mut pool = OutPool::new();
    let mut queue: OutQueue<Shared> = OutQueue::new();
    queue.push(&mut pool, b"first");
    let place = queue.first().as_ptr();
    queue.advance(&mut pool, 5);
    assert_eq!(pool.spare_bytes(), CHUNK_BYTES_MIN);
    queue.push(&mut pool, b"second");
    assert_eq!(queue.first().as_ptr(), place);
    assert_eq!(pool.spare_bytes(), 0);
}

#[test]
fn many_small_frames_lie_in_few_growing_chunks() {
    let mut pool = OutPool::new();
    let mut queue: OutQueue<Shared> = OutQueue::new();
    let frame = [7; 32];
    for _ in 0..(CHUNK_BYTES_MAX * 4 / frame.len()) {
        queue.push(&mut pool, &frame);
    }
    let mut slices = [IoSlice::new(&[]); 64];
    let filled = queue.io_slices(&mut slices);
    let lengths: Vec<usize> = slices[..filled].iter().map(|slice| slice.len()).collect();
    assert_eq!(lengths[..5], [4096, 8192, 16_384, 32_768, 65_536]);
    assert!(lengths[5..].iter().all(|len| *len <= CHUNK_BYTES_MAX));
}

#[test]
fn the_headers_of_shared_payloads_do_not_hold_chunks() {
    let mut pool = OutPool::new();
    let mut queue: OutQueue<Shared> = OutQueue::new();
    let payload: Shared = vec![1; 8192].into();
    for _ in 0..1_000 {
        queue.push(&mut pool, &[0; 20]);
        queue.push_shared(&mut pool, Arc::clone(&payload), 0..8192);
    }
    assert_eq!(queue.len(), 1_000 * 8212);
    assert!(
        queue.heap_bytes() < 1_000 * 200,
        "{} bytes",
        queue.heap_bytes()
    );
    queue.clear(&mut pool);
    assert_eq!(Arc::strong_count(&payload), 1);
}

#[test]
fn a_shared_payload_is_released_once_it_is_written() {
    let mut pool = OutPool::new();
    let mut queue: OutQueue<Shared> = OutQueue::new();
    let payload: Shared = vec![1; 100].into();
    queue.push_shared(&mut pool, Arc::clone(&payload), 10..60);
    queue.push(&mut pool, b"after");
    queue.advance(&mut pool, 49);
    assert_eq!(Arc::strong_count(&payload), 2);
    queue.advance(&mut pool, 1);
    assert_eq!(Arc::strong_count(&payload), 1);
    assert_eq!(queue.first(), b"after");
}

/// Frames of a length in four bytes and a body, read back whole.
fn frames(mut stream: &[u8]) -> Vec<(u8, usize)> {
    let mut frames = Vec::new();
    while let Some((len, rest)) = stream.split_first_chunk::<4>() {
        let (body, rest) = rest.split_at(u32::from_le_bytes(*len) as usize);
        assert!(
            body.iter().all(|byte| *byte == body[0]),
            "frames are mixed up"
        );
        frames.push((body[0], body.len()));
        stream = rest;
    }
    frames
}

#[test]
fn packets_put_in_between_moves_never_divide_another_packet() {
    let mut pool = OutPool::new();
    let mut backlog: OutQueue<Shared> = OutQueue::new();
    let mut out: OutQueue<Shared> = OutQueue::new();
    let mut expected = Vec::new();
    for number in 0..2_000_usize {
        let len = 1 + number * 7_919 % [50, 900, 9_000][number % 3];
        let mark = (number % 200) as u8;
        expected.push((mark, len));
        let tail = backlog.tail(&mut pool, 4 + len);
        tail.extend_from_slice(&(len as u32).to_le_bytes());
        if len >= 4_096 {
            backlog.push_shared(&mut pool, vec![mark; len].into(), 0..len);
        } else {
            tail.resize(tail.len() + len, mark);
        }
    }
    let mut stream = Vec::new();
    let mut moves = 0;
    while !backlog.is_empty() {
        backlog.move_front_to(&mut pool, &mut out, 10_000);
        out.push(&mut pool, &[1, 0, 0, 0, 255]);
        moves += 1;
        let written = out.first().len().min(20_000);
        stream.extend_from_slice(&out.first()[..written]);
        out.advance(&mut pool, written);
    }
    stream.extend(all(&out));
    let (acks, deliveries): (Vec<_>, Vec<_>) = frames(&stream)
        .into_iter()
        .partition(|(mark, _)| *mark == 255);
    assert!(moves > 50);
    assert_eq!(acks.len(), moves);
    assert_eq!(deliveries, expected);
    assert_eq!(backlog.heap_bytes(), 0);
}

#[test]
fn the_pool_stays_within_its_bound() {
    let mut pool = OutPool::new();
    let mut queues: Vec<OutQueue<Shared>> = (0..3_000).map(|_| OutQueue::new()).collect();
    for queue in &mut queues {
        queue.push(&mut pool, &[0; 3_000]);
        queue.push(&mut pool, &[0; 3_000]);
    }
    for queue in &mut queues {
        queue.clear(&mut pool);
    }
    assert!(pool.spare_bytes() <= SPARE_BYTES_MAX);
    assert!(pool.spare_bytes() > SPARE_BYTES_MAX - CHUNK_BYTES_MAX);
    pool.shrink();
    assert_eq!(pool.spare_bytes(), 0);
}

/// Prints nanoseconds a frame: `cargo test --release -p tidewire-core --test outbuf -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn measure_pushes() {
    let mut pool = OutPool::new();
    let mut queues: Vec<OutQueue<Shared>> = (0..64).map(|_| OutQueue::new()).collect();
    let frame = [7_u8; 32];
    for per_turn in [1, 16, 128] {
        let turns = 40_000_000 / (64 * per_turn);
        let start = std::time::Instant::now();
        let mut written = 0;
        for _ in 0..turns {
            for queue in &mut queues {
                for _ in 0..per_turn {
                    queue.push(&mut pool, std::hint::black_box(&frame));
                }
                written += queue.first().len();
                queue.advance(&mut pool, queue.len());
            }
        }
        let pushes = turns * 64 * per_turn;
        let nanos = start.elapsed().as_nanos() as f64 / pushes as f64;
        println!(
            "{nanos:.2} ns a push of 32 bytes, {per_turn} pushes a flush ({written} bytes first)"
        );
    }
}
