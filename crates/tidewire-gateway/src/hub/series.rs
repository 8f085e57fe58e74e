//! Devices and the series of their inputs.

use super::intake::Intake;
use crate::model::{Device, Props, Quality, Sample, Value};
use crate::pipeline::record::Written;
use crate::pipeline::{DeadBand, Gate, Lane, PointRef, SeriesRef};
use hashbrown::HashMap;
use std::collections::BTreeMap;

/// Names a series: its place, and which of the series that were in this place it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SeriesId {
    place: u32,
    generation: u32,
}

/// A series and its newest value.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) app: Box<str>,
    pub(super) sn: Box<str>,
    pub(super) input: Box<str>,
    pub(super) prop: Box<str>,
    pub(super) band: DeadBand,
    pub(super) gate: Gate,
    /// By lane.
    pub(super) written: [Written; 2],
    pub(super) newest: Option<Sample>,
    generation: u32,
    is_alive: bool,
}

impl Series {
    pub(super) fn names(&self) -> SeriesRef<'_> {
        SeriesRef {
            app: &self.app,
            sn: &self.sn,
            input: &self.input,
            prop: &self.prop,
        }
    }
}

/// The newest value of a series, for whoever looks.
#[derive(Clone, PartialEq, Debug)]
pub struct LiveValue {
    /// The input.
    pub input: Box<str>,
    /// The property.
    pub prop: Box<str>,
    /// The newest value.
    pub sample: Sample,
}

#[derive(Debug)]
struct Entry {
    device: Device,
    /// Places of its series.
    series: Vec<u32>,
    events_since_ms: i64,
    events: u32,
}

/// All devices and series.
#[derive(Debug)]
pub(super) struct Catalogue {
    devices: BTreeMap<Box<str>, Entry>,
    series: Vec<Series>,
    /// By `sn NUL input NUL prop`.
    by_name: HashMap<Box<str>, u32, foldhash::fast::RandomState>,
    free: Vec<u32>,
    /// Newest values of before the start, by the same names, until their series are there.
    restored: HashMap<Box<str>, Sample, foldhash::fast::RandomState>,
    /// The name that is looked up; kept so that a look-up needs no allocation.
    wanted: String,
}

impl Catalogue {
    pub(super) fn new() -> Self {
        Self {
            devices: BTreeMap::new(),
            series: Vec::new(),
            by_name: HashMap::default(),
            free: Vec::new(),
            restored: HashMap::default(),
            wanted: String::new(),
        }
    }

    /// Brings a device; series that its predecessor had and it has, too, go on.
    pub(super) fn add(&mut self, device: Device) {
        let sn = device.sn.clone();
        match self.devices.get_mut(&sn) {
            Some(entry) => entry.device = device,
            None => {
                let entry = Entry {
                    device,
                    series: Vec::new(),
                    events_since_ms: 0,
                    events: 0,
                };
                self.devices.insert(sn.clone(), entry);
            }
        }
        self.adopt_bands(&sn);
    }

    /// The newest value of before the start.
    pub(super) fn restore(&mut self, names: SeriesRef<'_>, sample: Sample) {
        name(&mut self.wanted, names.sn, names.input, names.prop);
        self.restored.insert(self.wanted.as_str().into(), sample);
    }

    pub(super) fn newest(&self, id: SeriesId) -> Option<&Sample> {
        self.series.get(id.place as usize)?.newest.as_ref()
    }

    /// Returns the device's app.
    pub(super) fn modify(&mut self, sn: &str, props: Props) -> Option<Box<str>> {
        let entry = self.devices.get_mut(sn)?;
        entry.device.props = props;
        let app = entry.device.app.clone();
        self.adopt_bands(sn);
        Some(app)
    }

    fn adopt_bands(&mut self, sn: &str) {
        let Some(entry) = self.devices.get(sn) else {
            return;
        };
        for place in &entry.series {
            let Some(series) = self.series.get_mut(*place as usize) else {
                continue;
            };
            let inputs = &entry.device.props.inputs;
            let input = inputs.iter().find(|input| input.name == series.input);
            if let Some(band) = input.and_then(|input| input.dead_band) {
                series.band = band;
            }
        }
    }

    pub(super) fn remove(&mut self, sn: &str) -> Option<Device> {
        let entry = self.devices.remove(sn)?;
        for place in entry.series {
            if let Some(series) = self.series.get_mut(place as usize) {
                name(&mut self.wanted, &series.sn, &series.input, &series.prop);
                self.by_name.remove(self.wanted.as_str());
                series.is_alive = false;
                series.newest = None;
                self.free.push(place);
            }
        }
        Some(entry.device)
    }

    pub(super) fn device(&self, sn: &str) -> Option<&Device> {
        self.devices.get(sn).map(|entry| &entry.device)
    }

    pub(super) fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values().map(|entry| &entry.device)
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The series of these names, made if its device exists; `None` if not, or if there are too many.
    pub(super) fn series_id(
        &mut self,
        names: SeriesRef<'_>,
        band: DeadBand,
        max: usize,
    ) -> Option<SeriesId> {
        let SeriesRef {
            sn, input, prop, ..
        } = names;
        name(&mut self.wanted, sn, input, prop);
        if let Some(place) = self.by_name.get(self.wanted.as_str()) {
            let series = self.series.get(*place as usize)?;
            return Some(SeriesId {
                place: *place,
                generation: series.generation,
            });
        }
        if self.by_name.len() >= max {
            return None;
        }
        let entry = self.devices.get_mut(sn)?;
        let declared = entry
            .device
            .props
            .inputs
            .iter()
            .find(|known| &*known.name == input);
        let band = declared.and_then(|known| known.dead_band).unwrap_or(band);
        let place = self.free.pop();
        let place = place.unwrap_or(u32::try_from(self.series.len()).ok()?);
        let generation = self
            .series
            .get(place as usize)
            .map_or(0, |old| old.generation + 1);
        let series = Series {
            app: entry.device.app.clone(),
            sn: sn.into(),
            input: input.into(),
            prop: prop.into(),
            band,
            gate: Gate::default(),
            written: Default::default(),
            newest: self.restored.remove(self.wanted.as_str()),
            generation,
            is_alive: true,
        };
        entry.series.push(place);
        self.by_name.insert(self.wanted.as_str().into(), place);
        match self.series.get_mut(place as usize) {
            Some(old) => *old = series,
            None => self.series.push(series),
        }
        Some(SeriesId { place, generation })
    }

    pub(super) fn get_mut(&mut self, id: SeriesId) -> Option<&mut Series> {
        let series = self.series.get_mut(id.place as usize)?;
        (series.is_alive && series.generation == id.generation).then_some(series)
    }

    pub(super) fn live(&self, sn: &str) -> Vec<LiveValue> {
        let places = self.devices.get(sn).map(|entry| entry.series.as_slice());
        let series = places.unwrap_or_default().iter();
        series
            .filter_map(|place| {
                let series = self.series.get(*place as usize)?;
                Some(LiveValue {
                    input: series.input.clone(),
                    prop: series.prop.clone(),
                    sample: series.newest.clone()?,
                })
            })
            .collect()
    }

    pub(super) fn snapshot(&mut self, sn: Option<&str>, now_ms: i64, intake: &mut Intake) -> u64 {
        let mut count = 0;
        for series in &mut self.series {
            if !series.is_alive || sn.is_some_and(|sn| *series.sn != *sn) {
                continue;
            }
            let Some(newest) = &series.newest else {
                continue;
            };
            let point = PointRef {
                series: SeriesRef {
                    app: &series.app,
                    sn: &series.sn,
                    input: &series.input,
                    prop: &series.prop,
                },
                value: newest.value.borrowed(),
                quality: newest.quality,
                source_ms: newest.source_ms,
                gateway_ms: now_ms,
            };
            intake.point(Lane::Data, &point, &mut series.written);
            count += 1;
        }
        count
    }

    /// Whether a device may raise another event in this minute; unknown devices share the gateway's.
    pub(super) fn may_raise_event(&mut self, sn: &str, now_ms: i64, max: u32) -> bool {
        let Some(entry) = self.devices.get_mut(sn) else {
            return true;
        };
        if now_ms.saturating_sub(entry.events_since_ms).unsigned_abs() >= 60_000 {
            entry.events_since_ms = now_ms;
            entry.events = 0;
        }
        entry.events += 1;
        entry.events <= max
    }
}

fn name(into: &mut String, sn: &str, input: &str, prop: &str) {
    into.clear();
    for (at, part) in [sn, input, prop].into_iter().enumerate() {
        if at > 0 {
            into.push('\0');
        }
        into.push_str(part);
    }
}

/// Keeps the newest sample without an allocation where there is none to make.
pub(super) fn remember(
    newest: &mut Option<Sample>,
    value: &Value,
    quality: Quality,
    at: (i64, i64),
) {
    let (source_ms, gateway_ms) = at;
    match newest {
        Some(sample) => {
            sample.value.clone_from(value);
            sample.quality = quality;
            sample.source_ms = source_ms;
            sample.gateway_ms = gateway_ms;
        }
        None => {
            *newest = Some(Sample {
                value: value.clone(),
                quality,
                source_ms,
                gateway_ms,
            });
        }
    }
}
