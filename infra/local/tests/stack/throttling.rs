//! A throttled AWS call is answered as "try again later": every operation, every call that it makes, every throttling error.

use std::collections::BTreeMap;

use capstan_emulators::{Fault, Service};
use futures_util::{StreamExt, stream};

use super::matrix::{Operation, Resource, served};
use super::world::{Answer, World};

/// By which codes a service refuses what is too much: those that the SDKs know as such, of the ones it uses.
fn codes(service: Service) -> &'static [&'static str] {
    match service {
        Service::DynamoDb => &["ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"],
        Service::S3 => &["SlowDown", "ServiceUnavailable", "RequestThrottled", "BandwidthLimitExceeded"],
        Service::EventBridge => &["ThrottlingException", "ThrottledException", "TooManyRequestsException"],
    }
}

/// Asks with the secret key for a resource that nobody has asked for.
async fn ask(world: &World, operation: &Operation, faults: impl FnOnce()) -> Answer {
    // Longer than a key is remembered: every request makes all its calls.
    world.advance(10);
    let resource = Box::pin(Resource::make(world, world.tenant(), operation.about)).await;
    let (path, body) = operation.request(&resource);
    let body = Some(body).filter(|body| !body.is_null());
    let _ = world.stack.emulators().take_calls();
    faults();
    world.call(operation.method.clone(), &path, body.as_ref()).await
}

/// What is not as it should be, of so many tries.
async fn throttled(operation: Operation) -> (usize, Vec<String>) {
    let world = Box::pin(World::start()).await;
    world.stack.bus().hold();
    let unhindered = Box::pin(ask(&world, &operation, || {})).await;
    assert_eq!(unhindered.status / 100, 2, "{operation}: {}", unhindered.outcome());
    let mut made: BTreeMap<String, (Service, u32)> = BTreeMap::new();
    for call in world.stack.emulators().calls() {
        made.entry(call.operation.clone()).or_insert((call.service, 0)).1 += 1;
    }
    let (mut tries, mut wrong) = (0, Vec::new());
    for (call, (service, times)) in &made {
        for (skip, code) in (0..*times).flat_map(|skip| codes(*service).iter().map(move |code| (skip, *code))) {
            let fault = || world.faults().fail_after(skip, call, Fault::Refuse(code), 100);
            let got = Box::pin(ask(&world, &operation, fault)).await;
            world.faults().clear();
            let is_later = got.outcome() == "503 temporarily_unavailable" && got.headers.contains_key("retry-after");
            // The event is saved and published again by `run-due-work`; the client need not wait for the bus.
            let is_done = *service == Service::EventBridge && matches!(got.status, 200 | 201);
            if !is_later && !is_done {
                wrong.push(format!(
                    "{operation}: {code} to {call} number {} is answered as {}",
                    skip + 1,
                    got.outcome()
                ));
            }
            tries += 1;
        }
    }
    (tries, wrong)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_service_is_503_with_retry_after() {
    let operations = served(&Box::pin(World::start()).await).await;
    let with_calls = operations.into_iter().filter(|operation| !operation.is_public);
    let done: Vec<_> =
        stream::iter(with_calls.map(|operation| Box::pin(throttled(operation)))).buffer_unordered(32).collect().await;
    let wrong: Vec<_> = done.iter().flat_map(|(_, wrong)| wrong.as_slice()).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let tries: usize = done.iter().map(|(tries, _)| tries).sum();
    assert!(tries >= 150, "{tries}");
}
