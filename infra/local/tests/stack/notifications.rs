//! S3's notifications and the bus's events: twice, out of order, late, never. A recording is completed once all the same.

use std::time::Duration;

use capstan_domain::Sha256;
use capstan_emulators::Fault;
use capstan_local::bus::Delivery;
use http::Method;
use serde_json::{Value, json};

use super::POLLS;
use super::world::{LATER, OPUS, World, YEAR, put};

const PNG: &[u8] = include_bytes!("../../../../shared/image/fixtures/photo.png");
impl World {
    /// What was held since the last time, once everything is under way.
    async fn held(&self) -> Vec<Delivery> {
        self.stack.bus().settle().await;
        self.stack.bus().take_held()
    }

    async fn deliver(&self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            self.stack.bus().deliver(delivery).await.unwrap();
        }
    }

    /// Lets time pass and sweeps, delivering what the sweeps publish; what was held before is lost.
    async fn let_time_pass(&self) {
        self.held().await;
        self.stack.bus().stop_holding();
        for _ in 0..3 {
            self.advance(LATER);
            self.sweep().await;
        }
    }

    async fn assert_completed_once(&self, path: &str, what: &str) -> Value {
        let recording = self.get(path).await;
        assert_eq!((&recording["status"], &recording["error"]), (&json!("completed"), &json!(null)), "{what}");
        for media in recording["media"].as_array().unwrap() {
            assert_eq!(media["status"], "uploaded", "{what}");
            let renditions = usize::from(media["type"] == "audio");
            assert_eq!(media["renditions"].as_array().unwrap().len(), renditions, "{what}");
        }
        assert_eq!(self.renditions_stored(path), 1, "{what}");
        assert_eq!(self.published(path, "recording.completed"), 1, "{what}");
        assert_eq!(self.published(path, "recording.failed"), 0, "{what}");
        assert_eq!(self.left_after_urls().await, 0, "{what}");
        recording
    }
}

/// One letter a step: the client completes; the notification of the object comes; `recording.uploaded` comes; time
/// passes until an unacknowledged event is published again.
const COMPLETE: char = 'c';
const NOTIFICATION: char = 'o';
const EVENT: char = 'u';
const TIME: char = 't';

async fn play(script: &str) {
    let world = World::start().await;
    world.stack.bus().hold();
    let (path, _) = world.sent("audio/ogg", OPUS).await;
    let notification = world.held().await;
    assert_eq!(notification.len(), 1);
    let mut event = Vec::new();
    for step in script.chars() {
        match step {
            COMPLETE => {
                world.complete(&path).await.expect("200");
                event = world.held().await;
                assert_eq!(event.len(), 1, "{script}");
            }
            NOTIFICATION => world.deliver(&notification).await,
            EVENT => world.deliver(&event).await,
            TIME => world.let_time_pass().await,
            other => panic!("{other}"),
        }
    }
    world.let_time_pass().await;
    let recording = world.assert_completed_once(&path, script).await;
    if script.contains(NOTIFICATION) {
        assert_eq!(recording["content_sha256"], Sha256::of(OPUS).to_string(), "{script}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn completes_a_recording_once_in_any_order_of_events() {
    for script in [
        "ocu",
        "oocu",
        "ocou",
        "ocuo",
        "ocuu",
        "oocoouuoou",
        "cou",
        "coouu",
        "cuo",
        "cuuoo",
        "cuto",
        "cto",
        "ct",
        "c",
        "cu",
        "cuu",
        "co",
        "oc",
        "octu",
        "ctu",
        "cotu",
        "cutu",
    ] {
        play(script).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_many_times_at_once_is_processed_once() {
    let world = World::start().await;
    world.stack.bus().hold();
    let (path, _) = world.sent("audio/ogg", OPUS).await;
    let notification = world.held().await.remove(0);
    let (a, b, c) = tokio::join!(
        world.stack.bus().deliver(&notification),
        world.stack.bus().deliver(&notification),
        world.complete(&path),
    );
    a.unwrap();
    b.unwrap();
    c.expect("200");
    let event = world.held().await.remove(0);
    let deliver = || world.stack.bus().deliver(&event);
    let all = tokio::join!(deliver(), deliver(), deliver(), world.stack.bus().deliver(&notification));
    assert!(all.0.is_ok() && all.1.is_ok() && all.2.is_ok() && all.3.is_ok());
    world.let_time_pass().await;
    world.assert_completed_once(&path, "at once").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_of_two_writes_may_arrive_in_any_order() {
    for order in [[0, 1], [1, 0]] {
        for completed_at in 0..=2 {
            let what = format!("{order:?}, completed at {completed_at}");
            let world = World::start().await;
            world.stack.bus().hold();
            let path = world.create().await;
            let signed = world.sign(&path, json!({"content_type": "audio/ogg"})).await;
            assert_eq!(put(&signed, b"first").await, 200);
            assert_eq!(put(&signed, OPUS).await, 200);
            let notifications = world.held().await;
            assert_eq!(notifications.len(), 2);
            let mut events = Vec::new();
            for step in 0..=2 {
                if step == completed_at {
                    let completed = world.complete(&path).await.expect("200");
                    assert_eq!(completed["file_size_bytes"], OPUS.len(), "{what}");
                    events = world.held().await;
                }
                if step < 2 {
                    world.deliver(&notifications[order[step]..=order[step]]).await;
                }
            }
            world.deliver(&events).await;
            world.let_time_pass().await;
            let recording = world.assert_completed_once(&path, &what).await;
            assert_eq!(recording["content_sha256"], Sha256::of(OPUS).to_string(), "{what}");
        }
    }
}

/// A recording that was completed with audio and still awaits an image, and the image's presigned URL.
async fn awaiting_a_picture(world: &World) -> (String, Value) {
    let (path, _) = world.sent("audio/ogg", OPUS).await;
    world.stack.bus().settle().await;
    let picture = world.sign(&path, json!({"content_type": "image/png"})).await;
    world.stack.bus().hold();
    world.complete(&path).await.expect("200");
    (path, picture)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_file_is_processed_despite_lost_or_repeated_events() {
    // How often the notification of the late file and the event that it leads to come.
    for (processed_before, notifications, events) in
        [(false, 0, 0), (false, 1, 0), (false, 2, 2), (true, 0, 0), (true, 1, 0), (true, 1, 1), (true, 2, 2)]
    {
        let what = format!("processed before: {processed_before}, {notifications}, {events}");
        let world = World::start().await;
        let (path, picture) = awaiting_a_picture(&world).await;
        let uploaded = world.held().await;
        if processed_before {
            world.deliver(&uploaded).await;
        }
        assert_eq!(put(&picture, PNG).await, 200);
        let notification = world.held().await;
        for _ in 0..notifications {
            world.deliver(&notification).await;
        }
        let notifications = world.held().await;
        for _ in 0..events {
            world.deliver(&notifications).await;
        }
        if !processed_before {
            world.deliver(&uploaded).await;
        }
        // S3 is queried for objects without a notification once the URL has expired.
        world.advance(3700);
        world.let_time_pass().await;
        let recording = world.assert_completed_once(&path, &what).await;
        assert!(recording["media"][1]["width"].as_u64().unwrap() > 0, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_never_arrives_blocks_nothing() {
    let world = World::start().await;
    let (path, _) = awaiting_a_picture(&world).await;
    let uploaded = world.held().await;
    world.deliver(&uploaded).await;
    world.advance(3700);
    world.let_time_pass().await;
    let recording = world.get(&path).await;
    assert_eq!((&recording["status"], &recording["media"][1]["status"]), (&json!("completed"), &json!("pending")));
    assert_eq!((world.published(&path, "recording.completed"), world.due_within(YEAR).await), (1, 0));
}

/// Runs `meanwhile` when processing has ended and its end is being published.
async fn while_the_end_is_published(world: &World, path: &str, event: &Delivery, meanwhile: impl Future<Output = ()>) {
    world.faults().fail_next("PutEvents", Fault::Delay(Duration::from_secs(2)), 1);
    let then = async {
        let mut polls = 0;
        while world.get(path).await["status"] != "completed" {
            polls += 1;
            assert!(polls < POLLS, "never completed");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        meanwhile.await;
        assert_eq!(
            world.published(path, "recording.completed"),
            0,
            "the end was published before the test could do anything"
        );
    };
    let (delivered, ()) = tokio::join!(world.stack.bus().deliver(event), then);
    delivered.unwrap();
    assert_eq!(world.published(path, "recording.completed"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_arriving_during_publication_publishes_no_second_end() {
    let world = World::start().await;
    let (path, picture) = awaiting_a_picture(&world).await;
    let uploaded = world.held().await.remove(0);
    assert_eq!(put(&picture, PNG).await, 200);
    let notification = world.held().await;
    // Its own event stays held and is lost.
    let late = world.deliver(&notification);
    while_the_end_is_published(&world, &path, &uploaded, late).await;
    world.let_time_pass().await;
    let recording = world.assert_completed_once(&path, "late").await;
    assert!(recording["media"][1]["width"].as_u64().unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_deleted_during_publication_loses_its_objects() {
    let world = World::start().await;
    world.stack.bus().hold();
    let path = world.uploaded("audio/ogg", OPUS).await;
    let uploaded = world.held().await.remove(1);
    while_the_end_is_published(&world, &path, &uploaded, async {
        assert_eq!(world.call(Method::DELETE, &path, None).await.status, 204);
    })
    .await;
    world.let_time_pass().await;
    assert_eq!(world.objects().await, Vec::<String>::new());
    world.advance(3 * 3600);
    world.let_time_pass().await;
    assert_eq!(world.due_within(YEAR).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_deleted_during_processing_leaves_nothing() {
    let world = World::start().await;
    world.stack.bus().hold();
    let path = world.uploaded("audio/ogg", OPUS).await;
    let uploaded = world.held().await.remove(1);
    // The waveform is stored after the objects of the deleted recording were removed.
    world.faults().fail_next("PutObject", Fault::Delay(Duration::from_secs(2)), 1);
    let delete = async {
        let mut polls = 0;
        while world.renditions_stored(&path) == 0 {
            polls += 1;
            assert!(polls < POLLS, "no rendition is ever stored");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(world.call(Method::DELETE, &path, None).await.status, 204);
        world.stack.bus().tick().await.unwrap();
        assert!(world.objects().await.is_empty());
    };
    let (delivered, ()) = tokio::join!(world.stack.bus().deliver(&uploaded), delete);
    delivered.unwrap();
    assert_eq!(world.objects().await.len(), 1, "the waveform came behind the deletion");
    world.advance(3 * 3600);
    world.let_time_pass().await;
    assert!(world.objects().await.is_empty());
    assert_eq!((world.published(&path, "recording.completed"), world.due_within(YEAR).await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_and_malformed_events_are_ignored() {
    let world = World::start().await;
    world.stack.bus().hold();
    let path = world.uploaded("audio/ogg", OPUS).await;
    let mut held = world.held().await;
    let (event, notification) = (held.pop().unwrap(), held.pop().unwrap());
    let with = |delivery: &Delivery, pointer: &str, value: Value| {
        let mut delivery = delivery.clone();
        *delivery.event.pointer_mut(pointer).unwrap() = value;
        delivery
    };
    let key = "/Records/0/s3/object/key";
    for (odd, fails) in [
        (with(&notification, key, json!("")), false),
        (with(&notification, key, json!("%ff%fe")), false),
        (with(&notification, key, json!("proj_1/rec_1/med_1/audio.ogg")), false),
        (with(&notification, key, json!("proj_1/rec_1/../../audio.ogg")), false),
        (with(&notification, key, json!(null)), false),
        (with(&notification, "/Records/0/s3/object/sequencer", json!("zz")), false),
        (with(&notification, "/Records/0/s3/object/eTag", json!(null)), false),
        (with(&notification, "/Records", json!([])), false),
        (with(&notification, "/Records", json!("x")), true),
        (with(&event, "/detail/recording_id", json!("rec_unknown")), false),
        (with(&event, "/detail/recording_id", json!("nonsense")), true),
        (with(&event, "/detail/mode", json!("prod")), true),
        (with(&event, "/detail", json!({})), true),
    ] {
        assert_eq!(world.stack.bus().deliver(&odd).await.is_err(), fails, "{}", odd.event);
    }
    world.deliver(&[notification, event]).await;
    world.let_time_pass().await;
    world.assert_completed_once(&path, "after odd events").await;
}
