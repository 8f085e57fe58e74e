//! A gateway in this process.

use super::arguments::{AppRun, Run};
use crate::config::LogFormat;
use crate::exit::{Failure, Status};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tidewire_gateway::app::Apps;
use tidewire_gateway::clock::TimeSource;
use tidewire_gateway::config::AppSettings;
use tidewire_gateway::downlink::AppControl;
use tidewire_gateway::gateway::StartError;
use tidewire_gateway::page::Page;
use tidewire_gateway::{Config, Gateway, Hub};
use tokio::sync::oneshot;

/// The socket in a gateway's folder that answers to `tidewire gateway status`.
pub(super) const SOCKET: &str = "gateway.sock";

/// `tidewire gateway run`
pub(super) fn run(run: &Run) -> Result<String, Failure> {
    let config = super::load(&run.config)?;
    run_config(&config, run.ready)
}

/// `tidewire gateway app run`: a gateway with this app alone, in a folder that goes with it.
pub(super) fn app(app: &AppRun) -> Result<String, Failure> {
    let usage = |message: String| Failure::new(Status::Usage, message);
    let conf: serde_json::Value = serde_json::from_str(&app.conf).map_err(|error| {
        usage(format!(
            "--conf is no JSON: {error}\n  help: write --conf '{{\"server\":\"127.0.0.1\"}}'"
        ))
    })?;
    if !app.file.is_file() {
        return Err(usage(format!("there is no file {}", app.file.display())));
    }
    let folder = tempfile::tempdir().map_err(|error| {
        Failure::new(Status::DataDir, format!("no folder for the app: {error}"))
    })?;
    let mut text = format!(
        "[gateway]\nid = {:?}\ndata_dir = {:?}\nlog = {:?}\n",
        app.id,
        folder.path(),
        app.log
    );
    if app.simulate > 0 {
        let _ = write!(text, "[[simulator]]\ndevices = {}\n", app.simulate);
    }
    let mut config = Config::read("the command line", &text)
        .map_err(|faults| super::mistakes(Path::new("the command line"), &faults))?;
    config.apps = vec![AppSettings {
        name: app.name.as_str().into(),
        file: app.file.clone(),
        conf,
        start: true,
    }];
    run_config(&config, false)
}

fn run_config(config: &Config, ready: bool) -> Result<String, Failure> {
    let filter = crate::logs::filter(&config.log)
        .map_err(|why| Failure::new(Status::Usage, format!("`log` in [gateway]: {why}")))?;
    let failed = |text: String| Failure::new(Status::Failed, text);
    let _filter = crate::logs::start(filter, LogFormat::Text)
        .map_err(|why| failed(format!("no log: {why}")))?;
    let stopped =
        on_signal().map_err(|error| failed(format!("signals cannot be received: {error}")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| failed(format!("no threads: {error}")))?;
    runtime.block_on(until_stopped(config, ready, stopped))
}

async fn until_stopped(
    config: &Config,
    ready: bool,
    stopped: oneshot::Receiver<&'static str>,
) -> Result<String, Failure> {
    let hub = Arc::new(Hub::new(config.hub.clone(), TimeSource::System));
    let apps = Apps::start(&config.id, &hub, &config.apps);
    let control: Arc<dyn AppControl> = Arc::clone(&apps) as Arc<dyn AppControl>;
    let gateway = Gateway::start(config, &hub, Some(control)).map_err(|error| {
        let status = match error {
            StartError::InUse(_) | StartError::Folder(..) => Status::DataDir,
            StartError::Log(_) | StartError::Uplink(..) => Status::Failed,
        };
        Failure::new(status, error.to_string())
    })?;
    let page = Page::new(gateway.state(), Arc::clone(&apps));
    let address = serve(config, &page).await?;
    if ready {
        let facts = serde_json::json!({"pid": std::process::id(), "page": address});
        crate::print(&format!("{facts}\n"))?;
    }
    tracing::info!(gateway = &*config.id, folder = %config.data_dir.display(), "running");
    // The sender lives until a signal comes.
    let signal = stopped.await.unwrap_or("the end of signals");
    tracing::info!("stopping on {signal}");
    let ended = tokio::task::spawn_blocking(move || apps.stop()).await;
    if ended.is_err() {
        tracing::error!("an app could not be stopped");
    }
    gateway.stop().await;
    Ok(String::new())
}

async fn serve(config: &Config, page: &Page) -> Result<Option<SocketAddr>, Failure> {
    #[cfg(unix)]
    if let Err(error) = page.serve_socket(&config.data_dir.join(SOCKET)) {
        tracing::warn!(%error, "`tidewire gateway status` will find no socket");
    }
    let Some(wanted) = config.page else {
        return Ok(None);
    };
    let address = page.serve(wanted).await.map_err(|error| {
        let message = format!(
            "the page cannot be served on {wanted}: {error}\n  help: change `listen` in [page]"
        );
        Failure::new(Status::Listener, message)
    })?;
    tracing::info!("the page is on http://{address}");
    Ok(Some(address))
}

/// The first SIGINT or SIGTERM; a second one ends the process at once.
fn on_signal() -> std::io::Result<oneshot::Receiver<&'static str>> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut sender = Some(sender);
            for signal in signals.forever() {
                match sender.take() {
                    // Nobody waits: the gateway ends anyway.
                    Some(sender) => drop(sender.send(if signal == SIGINT {
                        "SIGINT"
                    } else {
                        "SIGTERM"
                    })),
                    None => std::process::exit(Status::Interrupted as i32),
                }
            }
        })?;
    Ok(receiver)
}
