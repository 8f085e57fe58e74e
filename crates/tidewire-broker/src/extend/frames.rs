//! PUBLISH frames as handlers are shown them: borrowed from the read buffer.

use std::str::from_utf8;
use tidewire_codec::{Publish, PublishView, Sender, Version, frame};

/// Frames that differ in their payload alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frames<'a> {
    pub(crate) version: Version,
    /// Begins with the frames.
    pub(crate) bytes: &'a [u8],
    pub(crate) frame_len: usize,
    pub(crate) count: u32,
    /// The topic that an alias stands for.
    pub(crate) topic: Option<&'a str>,
}

impl<'a> Frames<'a> {
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The packets. The core has checked the frames before it had them shown.
    pub(crate) fn each(&self) -> impl Iterator<Item = Publish<'a>> + use<'a> {
        let first = self.view();
        let payload_at = first.as_ref().map_or(0, PublishView::payload_offset);
        let topic = self.topic.or_else(|| from_utf8(first.as_ref()?.topic).ok());
        let frames = self.bytes.chunks_exact(self.frame_len.max(1));
        frames.take(self.count as usize).filter_map(move |frame| {
            let view = first.as_ref()?;
            Some(Publish {
                dup: view.dup(),
                qos: view.qos(),
                retain: view.retain(),
                topic: topic?.into(),
                packet_id: view.packet_id,
                properties: view.properties.clone(),
                payload: frame.get(payload_at..)?.into(),
            })
        })
    }

    fn view(&self) -> Option<PublishView<'a>> {
        let frame = frame::next_frame(self.bytes, u32::MAX).ok()??;
        PublishView::parse(self.version, Sender::Client, frame).ok()
    }
}
