//! `tidegate world`: a simulated organization over the AWS wire protocols, until it is stopped.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_world::listen::{self, Listening};
use tidegate_world::{Faults, Fleet, Spec, Tempo, World};

use crate::args::{FaultLevel, Findings, WorldArgs};
use crate::cmd::{replay, serve};
use crate::failure::Failure;
use crate::screen;

/// The one line on stdout, once calls are answered.
#[derive(Debug, Serialize)]
struct Ready {
    /// `http://address:port`, for `AWS_ENDPOINT_URL_SSM` and the like.
    listening: String,
    /// The account that owns the organization and its aggregator.
    hub: String,
    /// The name of the Config aggregator.
    aggregator: &'static str,
}

/// Serves it.
///
/// # Errors
/// When fleet, store, address or STS endpoint can't be used, or the world can't be written down.
pub async fn run(args: &WorldArgs) -> Result<u8, Failure> {
    let world = World::open(spec(args)?, Timestamp::now(), args.store.as_deref()).map_err(|error| Failure::machine("the world can't be opened", &error))?;
    let listener = tokio::net::TcpListener::bind(args.listen).await.map_err(|error| Failure::machine(format!("can't listen on `{}`", args.listen), &error))?;
    let address = listener.local_addr().map_err(|error| Failure::machine("the address is not known", &error))?;
    let how = Listening { hub: args.hub_account, identities: args.identities.clone() };
    let ready = Ready { listening: listen::url(address), hub: args.hub_account.to_string(), aggregator: listen::AGGREGATOR_NAME };
    let ready = serde_json::to_string(&ready).map_err(|error| Failure::machine("the address can't be written as JSON", &error))?;
    let served = listen::serve(Arc::new(world), listener, how, || drop(screen::print(&format!("{ready}\n"))));
    tokio::select! {
        served = served => served.map(|()| 0).map_err(|error| Failure::machine("the world stopped", &error)),
        stopped = serve::stop_signal() => stopped,
    }
}

fn spec(args: &WorldArgs) -> Result<Spec, Failure> {
    let fleet = match &args.fleet {
        Some(path) => replay::read_fleet(path)?,
        None => Fleet::generate(args.accounts, args.regions, args.instances, args.seed),
    };
    let mut spec = Spec::from_fleet(&fleet);
    spec.documents.clone_from(&args.document);
    (spec.seed, spec.tempo) = (args.seed, Tempo::times(args.tempo));
    spec.calendars = [("change-calendar".to_owned(), Vec::new()), ("moratorium".to_owned(), vec![(0, u64::MAX)])].into();
    if args.findings != Findings::None {
        spec = spec.announced();
    }
    if args.findings == Findings::Silent {
        spec.hosts.iter_mut().for_each(|host| host.announce = false);
    }
    Ok(spec.troubled(match args.faults {
        FaultLevel::None => Faults::none(),
        FaultLevel::Light => Faults::light(),
        FaultLevel::Heavy => Faults::heavy(),
    }))
}
