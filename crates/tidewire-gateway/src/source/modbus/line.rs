//! The line to a device: TCP or serial.

use std::io;
use std::time::Duration;
use tokio_modbus::client::{Context, Reader as _, Writer as _, rtu, tcp};
use tokio_modbus::{ExceptionCode, Slave};

/// How a device is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ModbusUrl {
    /// Host and port.
    Tcp(String),
    /// A serial line.
    Serial {
        /// The device file.
        path: String,
        /// Bits per second.
        baud: u32,
        /// `none`, `even` or `odd`.
        parity: Box<str>,
        /// 1 or 2.
        stop_bits: u8,
    },
}

impl ModbusUrl {
    /// Reads `tcp://host:port` or `rtu:///dev/ttyS0?baud=9600&parity=none&stop=1`.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("tcp://") {
            let has_port = rest
                .rsplit_once(':')
                .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            let address = if has_port {
                rest.to_owned()
            } else {
                format!("{rest}:502")
            };
            return if rest.is_empty() {
                Err("the host is missing".to_owned())
            } else {
                Ok(Self::Tcp(address))
            };
        }
        let Some(rest) = text.strip_prefix("rtu://") else {
            return Err(format!("`{text}` begins with neither tcp:// nor rtu://"));
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if path.is_empty() {
            return Err("the serial device is missing: write rtu:///dev/ttyUSB0".to_owned());
        }
        let (mut baud, mut parity, mut stop_bits) = (9600, "none", 1);
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("baud", value)) => {
                    baud = value.parse().map_err(|_| format!("`{value}` is no rate"))?;
                }
                Some(("parity", value @ ("none" | "even" | "odd"))) => parity = value,
                Some(("stop", "1")) => stop_bits = 1,
                Some(("stop", "2")) => stop_bits = 2,
                _ => {
                    return Err(format!(
                        "`{part}` is none of baud=N, parity=none|even|odd, stop=1|2"
                    ));
                }
            }
        }
        Ok(Self::Serial {
            path: path.to_owned(),
            baud,
            parity: parity.into(),
            stop_bits,
        })
    }
}

/// Bits of a serial line.
struct SerialSettings {
    baud: u32,
    parity: Box<str>,
    stop: u8,
}

impl serial2_tokio::IntoSettings for SerialSettings {
    fn apply_to_settings(self, settings: &mut serial2_tokio::Settings) -> io::Result<()> {
        settings.set_raw();
        settings.set_baud_rate(self.baud)?;
        settings.set_char_size(serial2_tokio::CharSize::Bits8);
        settings.set_flow_control(serial2_tokio::FlowControl::None);
        settings.set_parity(match &*self.parity {
            "even" => serial2_tokio::Parity::Even,
            "odd" => serial2_tokio::Parity::Odd,
            _ => serial2_tokio::Parity::None,
        });
        settings.set_stop_bits(match self.stop {
            2 => serial2_tokio::StopBits::Two,
            _ => serial2_tokio::StopBits::One,
        });
        Ok(())
    }
}

/// A request that came to nothing.
#[derive(Debug)]
pub(crate) enum LineError {
    /// The device answered that it cannot.
    Refused(ExceptionCode),
    /// There is no answer, or none that makes sense: the line is opened anew.
    Broken(String),
}

impl LineError {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Refused(code) => format!("the device refuses: {code}"),
            Self::Broken(why) => why.clone(),
        }
    }
}

/// An open line.
pub(crate) struct Line {
    context: Context,
    timeout: Duration,
}

impl Line {
    pub(crate) async fn open(
        url: &ModbusUrl,
        unit: u8,
        timeout: Duration,
    ) -> Result<Self, LineError> {
        let open = async {
            match url {
                ModbusUrl::Tcp(address) => {
                    let stream = tokio::net::TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    Ok(tcp::attach_slave(stream, Slave(unit)))
                }
                ModbusUrl::Serial {
                    path,
                    baud,
                    parity,
                    stop_bits,
                } => {
                    let (parity, stop) = (parity.clone(), *stop_bits);
                    let settings = SerialSettings {
                        baud: *baud,
                        parity,
                        stop,
                    };
                    let stream = serial2_tokio::SerialPort::open(path, settings)?;
                    Ok(rtu::attach_slave(stream, Slave(unit)))
                }
            }
        };
        let context: io::Result<Context> = timed(timeout, open).await?;
        match context {
            Ok(context) => Ok(Self { context, timeout }),
            Err(error) => Err(LineError::Broken(format!("no connection: {error}"))),
        }
    }

    pub(crate) async fn registers(
        &mut self,
        table: &str,
        address: u16,
        count: u16,
    ) -> Result<Vec<u16>, LineError> {
        let timeout = self.timeout;
        let outcome = if table == "input" {
            timed(timeout, self.context.read_input_registers(address, count)).await?
        } else {
            timed(timeout, self.context.read_holding_registers(address, count)).await?
        };
        answer(outcome)
    }

    pub(crate) async fn bits(
        &mut self,
        table: &str,
        address: u16,
        count: u16,
    ) -> Result<Vec<bool>, LineError> {
        let timeout = self.timeout;
        let outcome = if table == "discrete" {
            timed(timeout, self.context.read_discrete_inputs(address, count)).await?
        } else {
            timed(timeout, self.context.read_coils(address, count)).await?
        };
        answer(outcome)
    }

    pub(crate) async fn write_registers(
        &mut self,
        address: u16,
        words: &[u16],
    ) -> Result<(), LineError> {
        let timeout = self.timeout;
        let outcome = match words {
            [word] => timed(timeout, self.context.write_single_register(address, *word)).await?,
            words => {
                timed(
                    timeout,
                    self.context.write_multiple_registers(address, words),
                )
                .await?
            }
        };
        answer(outcome)
    }

    pub(crate) async fn write_coil(&mut self, address: u16, on: bool) -> Result<(), LineError> {
        let outcome = timed(self.timeout, self.context.write_single_coil(address, on)).await?;
        answer(outcome)
    }
}

async fn timed<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, LineError> {
    let outcome = tokio::time::timeout(limit, work).await;
    outcome.map_err(|_| LineError::Broken("the device did not answer in time".to_owned()))
}

fn answer<T>(outcome: tokio_modbus::Result<T>) -> Result<T, LineError> {
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(code)) => Err(LineError::Refused(code)),
        Err(error) => Err(LineError::Broken(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_faults_named() {
        assert_eq!(
            ModbusUrl::parse("tcp://plc"),
            Ok(ModbusUrl::Tcp("plc:502".to_owned()))
        );
        assert_eq!(
            ModbusUrl::parse("tcp://plc:1502"),
            Ok(ModbusUrl::Tcp("plc:1502".to_owned()))
        );
        let serial = ModbusUrl::parse("rtu:///dev/ttyS1?baud=19200&parity=even&stop=2");
        let expected = ModbusUrl::Serial {
            path: "/dev/ttyS1".to_owned(),
            baud: 19_200,
            parity: "even".into(),
            stop_bits: 2,
        };
        assert_eq!(serial, Ok(expected));
        for wrong in [
            "plc",
            "tcp://",
            "rtu://",
            "rtu:///dev/x?speed=1",
            "rtu:///dev/x?baud=fast",
        ] {
            assert!(ModbusUrl::parse(wrong).is_err(), "{wrong}");
        }
    }
}
