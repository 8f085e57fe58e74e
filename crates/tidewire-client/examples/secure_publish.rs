//! Connects with TLS, publishes one message and waits for its delivery. A will tells the others if the program dies.
//!
//! `secure_publish [ADDRESS] [CLIENT_ID]` looks for `test-root-ca.crt`, the certificate that is trusted, and `client.pem`,
//! the client's own certificate with its key, in the current folder.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tidewire_client::protocol::Published;
use tidewire_client::{Client, ConnectError, LastWill, Listener, Publish, Qos, Tls};

const ADDRESS: &str = "ssl://localhost:18884";
const CLIENT_ID: &str = "ssl_publish";
const KEY_STORE: &str = "client.pem";
const TRUST_STORE: &str = "test-root-ca.crt";
const LIMIT: Duration = Duration::from_secs(10);

struct Callback;

impl Listener for Callback {
    fn connection_lost(&mut self, cause: &ConnectError) {
        println!("\nConnection lost\n\tcause: {cause}");
    }

    fn delivery_complete(&mut self, token: Published) {
        let number = token.packet_id.map_or(0, |id| id.get());
        println!("\tDelivery complete for token: {number}");
    }
}

/// The program, with its files in `folder`.
pub(crate) async fn run(
    address: &str,
    client_id: &str,
    folder: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    println!("Initializing for server '{address}'...");
    let tls = Tls::new()
        .ca_file(folder.join(TRUST_STORE))
        .identity_file(folder.join(KEY_STORE));
    tls.check()?;
    let will = Publish::new("events/disconnect", "Last will and testament.")
        .qos(Qos::AtLeastOnce)
        .retained();
    let client = Client::builder(address)
        .client_id(client_id)
        .credentials("testuser", "testpassword")
        .will(LastWill::new(will))
        .tls(tls)
        .listener(Callback);
    println!("  ...OK");

    println!("\nConnecting...");
    let client = client.connect().await?;
    println!("  ...OK");

    println!("\nSending message...");
    let message = Publish::new("hello", "Hello secure world!").qos(Qos::AtLeastOnce);
    let mut token = client.publish(message).await?;
    token.delivered_within(LIMIT).await?;
    println!("  ...OK");

    println!("\nDisconnecting...");
    let report = client.close(LIMIT).await;
    println!("  ...OK, {} messages are left", report.undelivered.len());
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| ADDRESS.into());
    let client_id = arguments.next().unwrap_or_else(|| CLIENT_ID.into());
    match run(&address, &client_id, Path::new(".")).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
