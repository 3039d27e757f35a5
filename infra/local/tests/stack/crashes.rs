//! Crashes between any two calls to AWS, and services that refuse, drop or lose a call.
//!
//! A crash cuts one call, before or after it takes effect, and every later one; then the client repeats what was not
//! acknowledged, and the sweeps go on. An event that was put right before a crash may be put once more: nobody can know
//! that it arrived. Everything else happens once.

use capstan_domain::Sha256;
use capstan_emulators::{Crash, Fault};
use http::Method;
use serde_json::{Value, json};

use super::world::{Answer, LATER, OPUS, World, YEAR, put};

pub(crate) const CUTS: &[Crash] = &[Crash::Before, Crash::After];
/// More calls than any step makes.
const MANY: u32 = 60;

impl World {
    /// Sweeps until everything that waits for a lease or for a lost event has had its turn.
    pub(crate) async fn recover(&self) {
        for _ in 0..6 {
            self.advance(LATER);
            self.sweep().await;
            if self.due_within(YEAR).await == 0 {
                break;
            }
        }
    }

    /// Asserts that the recording is complete, that its completion was published, and that no work is left.
    async fn assert_whole(&self, path: &str, may_be_published_again: bool, what: &str) {
        let recording = self.get(path).await;
        assert_eq!(recording["status"], "completed", "{what}: {recording}");
        assert_eq!(recording["media"][0]["status"], "uploaded", "{what}");
        assert_eq!(recording["media"][0]["renditions"].as_array().unwrap().len(), 1, "{what}");
        let published = self.published(path, "recording.completed");
        assert!(published == 1 || may_be_published_again && published == 2, "{what}: published {published} times");
        assert_eq!(self.published(path, "recording.failed"), 0, "{what}");
        self.assert_at_rest(what).await;
        assert_eq!(self.get(path).await["content_sha256"], Sha256::of(OPUS).to_string(), "{what}");
    }

    async fn assert_at_rest(&self, what: &str) {
        assert_eq!(self.left_after_urls().await, 0, "{what}: something is due for ever");
    }

    /// Whether the step published an event or completed a multipart upload, of which S3 sends a notification.
    fn has_visible_effect(&self) -> bool {
        let visible = ["PutEvents", "CompleteMultipartUpload"];
        self.stack.emulators().calls().iter().any(|call| visible.contains(&call.operation.as_str()))
    }
}

/// Whether the client is asked to repeat the request.
fn says_later(answer: &Answer) -> bool {
    answer.outcome() == "503 temporarily_unavailable"
        && answer.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() > 0
        && !answer.json()["error"]["request_id"].as_str().unwrap().is_empty()
}

/// Runs `step` once for every call that it makes, cut there, until it runs to its end; gives how often it was cut.
pub(crate) async fn cut_at_every_call<P, F, G, H>(
    crashes: &[Crash],
    prepare: impl Fn() -> F,
    step: impl Fn(std::sync::Arc<World>, P) -> G,
    check: impl Fn(std::sync::Arc<World>, P, Crash, String) -> H,
) -> u32
where
    P: Clone,
    F: Future<Output = (World, P)>,
    G: Future<Output = Option<Answer>>,
    H: Future<Output = ()>,
{
    let mut cuts = 0;
    for &crash in crashes {
        for passes in 0..=MANY {
            let (world, prepared) = prepare().await;
            let world = std::sync::Arc::new(world);
            world.stack.bus().settle().await;
            let _ = world.stack.emulators().take_calls();
            world.faults().crash_after(passes, crash);
            let answer = step(world.clone(), prepared.clone()).await;
            world.stack.bus().settle().await;
            let crashed = world.faults().has_crashed();
            world.faults().clear();
            if !crashed {
                break;
            }
            let what = format!("{crash:?} call {}", passes + 1);
            if let Some(answer) = answer {
                // The completion is saved although the event could not be published, or the notification not recorded.
                let stands = answer.status == 200 && world.has_visible_effect();
                assert!(stands || says_later(&answer), "{what}: {}", answer.outcome());
            }
            assert!(passes < MANY, "the step never ends");
            cuts += 1;
            check(world, prepared, crash, what).await;
        }
    }
    cuts
}

#[tokio::test(flavor = "multi_thread")]
async fn create_says_later_and_its_repeat_makes_a_recording_that_expires_like_any_other() {
    let body = |world: &World| json!({"end_user_id": world.project.end_user_id.as_str()});
    let cuts = cut_at_every_call(
        CUTS,
        || async { (World::start().await, ()) },
        |world, ()| async move { Some(world.post("/v1/recordings", body(&world)).await) },
        |world, (), _, what| async move {
            let made = world.post("/v1/recordings", body(&world)).await.expect("201");
            assert_eq!(world.get(&format!("/v1/recordings/{}", made["id"].as_str().unwrap())).await, made, "{what}");
            // What the cut call may have made is nobody's; it goes with the others that nobody completes.
            world.advance(8 * 24 * 3600);
            world.sweep().await;
            world.advance(3 * 3600);
            world.sweep().await;
            world.assert_at_rest(&what).await;
        },
    )
    .await;
    assert_eq!(cuts, 6, "the credential, the end user and the recording, each before and after");
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_url_says_later_and_its_repeat_signs() {
    let cuts = cut_at_every_call(
        CUTS,
        || async {
            let world = World::start().await;
            let path = world.create().await;
            // The sandbox remembers no credential after this.
            world.advance(10);
            (world, path)
        },
        |world, path| async move {
            Some(world.post(&format!("{path}/upload-url"), json!({"content_type": "audio/ogg"})).await)
        },
        |world, path, _, what| async move {
            let signed = world.sign(&path, json!({"content_type": "audio/ogg"})).await;
            assert_eq!(put(&signed, OPUS).await, 200, "{what}");
            world.complete(&path).await.expect("200");
            world.stack.bus().settle().await;
            // A media file that the cut call event_published is awaited as long as its URL lives.
            world.advance(3700);
            world.recover().await;
            let recording = world.get(&path).await;
            assert_eq!(recording["status"], "completed", "{what}");
            assert_eq!(world.published(&path, "recording.completed"), 1, "{what}");
            world.assert_at_rest(&what).await;
        },
    )
    .await;
    assert_eq!(cuts, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_complete_interrupted_at_any_call_takes_effect() {
    for notified in [true, false] {
        let cuts = cut_at_every_call(
            CUTS,
            || async {
                let world = World::start().await;
                if !notified {
                    world.stack.bus().hold();
                }
                let (path, _) = world.sent("audio/ogg", OPUS).await;
                world.stack.bus().settle().await;
                world.stack.bus().hold();
                world.stack.bus().take_held();
                world.advance(10);
                (world, path)
            },
            |world, path| async move { Some(world.complete(&path).await) },
            |world, path, _, what| async move {
                world.stack.bus().stop_holding();
                let again = world.complete(&path).await.outcome();
                assert!(matches!(again.as_str(), "200" | "400 recording_not_pending"), "{what}: {again}");
                world.recover().await;
                world.assert_whole(&path, false, &what).await;
            },
        )
        .await;
        assert_eq!(cuts, if notified { 6 } else { 10 }, "notified: {notified}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_interrupted_at_any_call_takes_effect() {
    let cuts = cut_at_every_call(
        CUTS,
        || async {
            let world = World::start().await;
            let path = world.uploaded("audio/ogg", OPUS).await;
            world.stack.bus().settle().await;
            world.advance(10);
            (world, path)
        },
        |world, path| async move { Some(world.call(Method::DELETE, &path, None).await) },
        |world, path, crash, what| async move {
            let again = world.call(Method::DELETE, &path, None).await.outcome();
            let took_effect = crash == Crash::After && what.ends_with('2');
            assert_eq!(again, if took_effect { "404 not_found" } else { "204" }, "{what}");
            world.sweep().await;
            assert!(world.objects().await.is_empty(), "{what}");
            world.advance(3 * 3600);
            world.sweep().await;
            world.assert_at_rest(&what).await;
        },
    )
    .await;
    assert_eq!(cuts, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_is_not_lost_wherever_its_function_is_cut() {
    // In time, and late: after the completion, with another file that was there.
    for late in [false, true] {
        let cuts = cut_at_every_call(
            CUTS,
            || async {
                let world = World::start().await;
                let path = world.create().await;
                let signed = world.sign(&path, json!({"content_type": "audio/ogg"})).await;
                if late {
                    let picture = world.sign(&path, json!({"content_type": "image/png"})).await;
                    let png = include_bytes!("../../../../shared/image/fixtures/photo.png");
                    assert_eq!(put(&picture, png).await, 200);
                    world.complete(&path).await.expect("200");
                    world.stack.bus().settle().await;
                }
                world.stack.bus().hold();
                assert_eq!(put(&signed, OPUS).await, 200);
                world.stack.bus().settle().await;
                (world, path)
            },
            |world, _| async move {
                let notification = world.stack.bus().take_held().remove(0);
                let _ = world.stack.bus().deliver(&notification).await;
                None
            },
            |world, path, _, what| async move {
                // Its repeats are lost as well.
                world.stack.bus().stop_holding();
                if !late {
                    world.complete(&path).await.expect("200");
                }
                world.stack.bus().settle().await;
                world.advance(3700);
                world.recover().await;
                world.assert_whole(&path, false, &what).await;
            },
        )
        .await;
        assert_eq!(cuts, if late { 8 } else { 4 }, "late: {late}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processing_continues_wherever_it_is_interrupted() {
    let cuts = cut_at_every_call(
        CUTS,
        || async {
            let world = World::start().await;
            let (path, _) = world.sent("audio/ogg", OPUS).await;
            world.stack.bus().settle().await;
            world.stack.bus().hold();
            world.complete(&path).await.expect("200");
            world.stack.bus().settle().await;
            (world, path)
        },
        |world, _| async move {
            let event = world.stack.bus().take_held().remove(0);
            let _ = world.stack.bus().deliver(&event).await;
            None
        },
        |world, path, _, what| async move {
            world.stack.bus().stop_holding();
            let may_be_published_again = world.has_visible_effect();
            world.recover().await;
            world.assert_whole(&path, may_be_published_again, &what).await;
        },
    )
    .await;
    assert_eq!(cuts, 14, "claim, read, store, finish, settings, tell, note; each before and after");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_sweeps_finish_an_interrupted_one() {
    // Each of these recordings owes another action.
    async fn prepare() -> (World, Vec<String>) {
        let world = World::start().await;
        world.stack.bus().hold();
        let unseen = world.uploaded("audio/ogg", OPUS).await;
        let (doomed, _) = world.sent("audio/ogg", OPUS).await;
        world.stack.bus().settle().await;
        world.stack.bus().stop_holding();
        assert_eq!(world.call(Method::DELETE, &doomed, None).await.status, 204);
        // MeetingPayload of its end by nobody.
        let untold = world.uploaded("audio/ogg", OPUS).await;
        world.faults().fail_next("PutEvents", Fault::Unavailable, 3);
        world.stack.bus().settle().await;
        world.faults().clear();
        world.advance(LATER);
        world.stack.bus().hold();
        (world, vec![unseen, doomed, untold])
    }
    let cuts = cut_at_every_call(
        // Before a call is after the one before it: nobody hears an answer here.
        &[Crash::After],
        prepare,
        |world, _| async move {
            let _ = world.stack.bus().tick().await;
            None
        },
        |world, paths, _, what| async move {
            for delivery in world.stack.bus().stop_holding() {
                let _ = world.stack.bus().deliver(&delivery).await;
            }
            let may_be_published_again = world.has_visible_effect();
            // What was deleted is remembered for two hours.
            world.advance(3 * 3600);
            world.recover().await;
            for path in [&paths[0], &paths[2]] {
                world.assert_whole(path, may_be_published_again, &what).await;
            }
            assert!(
                !world.objects().await.iter().any(|key| key.contains(paths[1].rsplit('/').next().unwrap())),
                "{what}"
            );
            world.assert_at_rest(&what).await;
        },
    )
    .await;
    assert!(cuts >= 20, "{cuts} cuts");
}

/// The calls of the API with what each asks of AWS behind the credential.
const ENDPOINTS: [(&str, &[&str], &str); 9] = [
    ("create", &["GetItem", "PutItem"], "201"),
    ("get", &["GetItem"], "200"),
    ("list", &["GetItem", "Query", "BatchGetItem"], "200"),
    ("patch", &["GetItem", "UpdateItem"], "200"),
    ("sign", &["GetItem", "UpdateItem"], "200"),
    ("fetch", &["GetItem"], "200"),
    ("complete", &["GetItem", "UpdateItem", "HeadObject"], "200"),
    ("complete with a hash", &["GetItem", "HeadObject", "GetObject", "UpdateItem"], "200"),
    ("delete", &["GetItem", "UpdateItem"], "204"),
];

/// A recording to ask of, and the question.
async fn asked(world: &World, endpoint: &str) -> (Method, String, Option<Value>) {
    let path = if endpoint == "create" { String::new() } else { world.sent("audio/ogg", OPUS).await.0 };
    world.stack.bus().settle().await;
    if endpoint == "fetch" {
        world.complete(&path).await.expect("200");
        world.stack.bus().settle().await;
    }
    world.advance(10);
    match endpoint {
        "create" => {
            let body = json!({"end_user_id": world.project.end_user_id.as_str()});
            (Method::POST, "/v1/recordings".to_owned(), Some(body))
        }
        "get" => (Method::GET, path, None),
        "list" => (Method::GET, "/v1/recordings".to_owned(), None),
        "patch" => (Method::PATCH, path, Some(json!({"name": "x"}))),
        "sign" => (Method::POST, format!("{path}/upload-url"), Some(json!({"type": "image"}))),
        "fetch" => (Method::GET, format!("{path}/download-url"), None),
        "complete" => (Method::POST, format!("{path}/upload-complete"), Some(json!({}))),
        "complete with a hash" => {
            let sha256 = Sha256::of(OPUS).to_string();
            (Method::POST, format!("{path}/upload-complete"), Some(json!({"content_sha256": sha256})))
        }
        "delete" => (Method::DELETE, path, None),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_refuses_or_drops_a_call_is_503_with_retry_after_and_the_repeat_succeeds() {
    let world = World::start().await;
    for (endpoint, operations, success) in ENDPOINTS {
        for operation in operations {
            for fault in [Fault::Throttle, Fault::Internal, Fault::Unavailable, Fault::DropConnection] {
                let what = format!("{endpoint}, {operation}, {fault:?}");
                // S3 is queried only for objects without a notification.
                if operation.ends_with("Object") {
                    world.stack.bus().hold();
                }
                let (method, path, body) = asked(&world, endpoint).await;
                world.faults().fail_next(operation, fault, 100);
                let answer = world.call(method.clone(), &path, body.as_ref()).await;
                world.faults().clear();
                assert!(says_later(&answer), "{what}: {}", answer.outcome());
                assert!(!String::from_utf8_lossy(&answer.bytes).contains("injected"), "{what}");
                assert_eq!(world.call(method, &path, body.as_ref()).await.outcome(), success, "{what}");
                world.stack.bus().stop_holding();
                world.stack.bus().settle().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_response_of_a_successful_write_is_no_rejection() {
    let world = World::start().await;
    for (endpoint, operations, success) in ENDPOINTS {
        for operation in operations {
            let what = format!("{endpoint}, {operation}");
            if operation.ends_with("Object") {
                world.stack.bus().hold();
            }
            let (method, path, body) = asked(&world, endpoint).await;
            world.faults().fail_next(operation, Fault::LoseAnswer, 1);
            let answer = world.call(method, &path, body.as_ref()).await;
            world.faults().clear();
            assert_eq!(answer.outcome(), success, "{what}: {}", String::from_utf8_lossy(&answer.bytes));
            world.stack.bus().stop_holding();
            world.stack.bus().settle().await;
            if endpoint.starts_with("complete") && !operation.ends_with("Object") {
                let path = path.trim_end_matches("/upload-complete");
                assert_eq!(world.get(path).await["status"], "completed", "{what}: at once, not with the next sweep");
                assert_eq!(world.published(path, "recording.uploaded"), 1, "{what}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn api_functions_survive_every_fault_of_every_service() {
    for operation in ["GetObject", "UpdateItem", "PutObject", "PutEvents"] {
        for fault in [Fault::Throttle, Fault::Internal, Fault::Unavailable, Fault::DropConnection, Fault::LoseAnswer] {
            let what = format!("{operation}, {fault:?}");
            let world = World::start().await;
            let path = world.create().await;
            let signed = world.sign(&path, json!({"content_type": "audio/ogg"})).await;
            world.stack.bus().hold();
            assert_eq!(put(&signed, OPUS).await, 200);
            world.complete(&path).await.expect("200");
            world.stack.bus().settle().await;
            world.faults().fail_next(operation, fault, if fault == Fault::LoseAnswer { 1 } else { 12 });
            for delivery in world.stack.bus().stop_holding() {
                let _ = world.stack.bus().deliver(&delivery).await;
            }
            world.faults().clear();
            world.recover().await;
            let may_be_published_again = operation == "PutEvents" && fault == Fault::LoseAnswer;
            world.assert_whole(&path, may_be_published_again, &what).await;
        }
    }
}
