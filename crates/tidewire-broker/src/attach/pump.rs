//! Bytes between a stream of a runtime and a pipe of a worker.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidewire_net::{PipeEnd, PipeEvent};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::sync::Notify;

/// Bytes moved at once.
const PIECE_BYTES: usize = 8 * 1024;

/// The pipe's end, for both directions in one task.
struct End {
    pipe: Mutex<PipeEnd>,
    readable: Arc<Notify>,
    writable: Arc<Notify>,
}

/// Moves bytes both ways until both directions have ended, or the stream fails.
pub(super) async fn pump(stream: impl AsyncRead + AsyncWrite, mut pipe: PipeEnd) {
    let (readable, writable) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let bells = (Arc::clone(&readable), Arc::clone(&writable));
    pipe.on_ready(Some(Arc::new(move |event| match event {
        PipeEvent::Readable => bells.0.notify_one(),
        PipeEvent::Writable => bells.1.notify_one(),
    })));
    let end = End {
        pipe: Mutex::new(pipe),
        readable,
        writable,
    };
    let (reader, writer) = split(stream);
    let inwards = async {
        inwards(reader, &end).await;
        end.lock().shutdown_write();
    };
    let outwards = outwards(writer, &end);
    tokio::pin!(outwards);
    // The worker ends its side last, with a farewell perhaps; a client that has ended its own side may still read.
    tokio::select! {
        _ = &mut outwards => {}
        () = inwards => drop(outwards.await),
    }
}

async fn inwards(mut reader: impl AsyncRead + Unpin, end: &End) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = match reader.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        let mut rest = &piece[..count];
        while !rest.is_empty() {
            let written = end.lock().write(&[IoSlice::new(rest)]);
            match written {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    end.writable.notified().await;
                }
                Err(_) => return,
            }
        }
    }
}

async fn outwards(mut writer: impl AsyncWrite + Unpin, end: &End) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = end.lock().read(&mut piece);
        match read {
            Ok(0) => return writer.shutdown().await,
            Ok(count) => {
                writer.write_all(&piece[..count]).await?;
                writer.flush().await?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                end.readable.notified().await;
            }
            Err(error) => return Err(error),
        }
    }
}

impl End {
    fn lock(&self) -> MutexGuard<'_, PipeEnd> {
        self.pipe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
