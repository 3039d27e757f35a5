//! The device client against a bad network, kills on both sides, and URLs that end: every file arrives once and whole.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::process::{Running, capstan};
use super::proxy::{Proxy, Random};

const PART: u64 = 5 * 1024 * 1024;
/// Twelve parts and a bit.
const LARGE: u64 = 12 * PART + 12_345;
const SMALL: u64 = 300_000;

/// What stands between client and stack.
#[derive(Clone, Copy, Debug, Default)]
struct Network {
    cuts: usize,
    pause: Duration,
    /// How many parts the largest file has: an answer that signs for all of them must get through at times.
    parts: u64,
}

/// A stack, a network, and a client with a state directory.
struct Scene {
    root: tempfile::TempDir,
    stack: Running,
    api: Proxy,
    s3: Proxy,
    random: Random,
}

fn port(url: &str) -> u16 {
    url.rsplit_once(':').unwrap().1.parse().unwrap()
}

impl Scene {
    async fn set(seed: u64, network: Network) -> Self {
        let root = tempfile::tempdir().unwrap();
        let stack = Running::start(&root.path().join("data"));
        let s3_port = port(stack.get("AWS_ENDPOINT_URL_S3"));
        let s3 = Proxy::start(s3_port, network.cuts, PART + PART / 2, network.pause, seed).await;
        let api = Proxy::start(
            port(stack.get("CAPSTAN_URL")),
            network.cuts,
            4000 + 1200 * network.parts,
            Duration::ZERO,
            seed + 7,
        )
        .await;
        api.rewrite(&format!("127.0.0.1:{s3_port}"), &s3.address());
        Self { root, stack, api, s3, random: Random(seed + 2) }
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// A file of which no MiB is like another, and its hash.
    fn file(&mut self, name: &str, size: u64) -> (PathBuf, String) {
        let path = self.root.path().join(name);
        let (mut file, mut hash) = (File::create(&path).unwrap(), Sha256::new());
        let mut chunk: Vec<u8> = (0..1 << 17).flat_map(|_| self.random.next().to_le_bytes()).collect();
        let mut left = usize::try_from(size).unwrap();
        while left > 0 {
            chunk[..8].copy_from_slice(&self.random.next().to_le_bytes());
            let some = &chunk[..left.min(1 << 20)];
            file.write_all(some).unwrap();
            hash.update(some);
            left -= some.len();
        }
        (path, hex::encode(hash.finalize()))
    }

    fn command(&self, arguments: &[&str], files: &[&Path]) -> Command {
        let mut command = capstan(&self.root.path().join("nothing"));
        command
            .args(["upload", "--give-up-after", "300", "--state-dir"])
            .arg(self.root.path().join("states"))
            .args(["--url", &format!("http://{}", self.api.address())])
            .args(arguments)
            .args(files)
            .env("CAPSTAN_API_KEY", self.stack.get("CAPSTAN_DEVICE_TOKEN"));
        command
    }

    async fn upload(&self, arguments: &[&str], files: &[&Path]) -> Output {
        let mut command = self.command(arguments, files);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// Starts a client, whose words go to a file.
    fn start(&self, files: &[&Path]) -> Client {
        let words = File::options().create(true).append(true).open(self.root.path().join("words")).unwrap();
        let mut command = self.command(&[], files);
        Client(command.stdout(Stdio::null()).stderr(words).spawn().unwrap())
    }

    fn words(&self) -> String {
        fs::read_to_string(self.root.path().join("words")).unwrap_or_default()
    }

    /// SIGKILL, and another one on the same data, to which the network leads from then on.
    fn kill_the_stack(&mut self) {
        let data = self.data();
        self.stack.kill_in_place();
        self.stack = Running::start(&data);
        self.api.lead_to(port(self.stack.get("CAPSTAN_URL")));
        self.s3.lead_to(port(self.stack.get("AWS_ENDPOINT_URL_S3")));
    }

    async fn recordings(&self) -> Vec<Value> {
        let key = self.stack.get("CAPSTAN_API_KEY");
        let page = self.stack.client().call(Method::GET, "/v1/recordings?limit=100", key, None).await.unwrap();
        page["data"].as_array().unwrap().clone()
    }

    /// Nothing is there but these files, each once and whole.
    async fn assert_arrived(&self, hashes: &[&str]) {
        let mut arrived = Vec::new();
        for recording in self.recordings().await {
            assert_ne!(recording["status"], "pending", "{recording}");
            assert_eq!(recording["media"].as_array().unwrap().len(), 1, "{recording}");
            assert!(recording["content_sha256_verified_at"].is_string(), "{recording}");
            arrived.push(recording["content_sha256"].as_str().unwrap().to_owned());
        }
        arrived.sort();
        let mut expected = hashes.to_vec();
        expected.sort();
        assert_eq!(arrived, expected, "{}", self.words());
    }
}

/// A client that runs. Killed when dropped.
struct Client(Child);

impl Client {
    /// Whether it was still running.
    fn kill(mut self) -> bool {
        let is_running = self.0.try_wait().unwrap().is_none();
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        is_running
    }

    async fn ends_well(mut self, scene: &Scene) {
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(status.success(), "{}", scene.words());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_uploaded_once_by_one_put_or_in_parts() {
    let mut scene = Scene::set(1, Network::default()).await;
    let (small, of_small) = scene.file("small.ogg", SMALL);
    let (parted, of_parted) = scene.file("parted.ogg", SMALL + 1);
    let (large, of_large) = scene.file("large.wav", LARGE);
    let first = scene.upload(&[], &[&small, &large]).await;
    let second = scene.upload(&["--multipart"], &[&parted]).await;
    for output in [&first, &second] {
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    scene.assert_arrived(&[&of_small, &of_parted, &of_large]).await;
    assert_eq!(scene.s3.bytes_up(), 2 * SMALL + 1 + LARGE);

    let repeat = scene.upload(&[], &[&small, &large]).await;
    assert_eq!(text(&repeat.stdout), text(&first.stdout));
    assert!(text(&repeat.stderr).contains("is uploaded already as rec_"), "{}", text(&repeat.stderr));
    scene.assert_arrived(&[&of_small, &of_parted, &of_large]).await;
    let anew = scene.upload(&["--no-resume"], &[&small]).await;
    assert!(anew.status.success());
    scene.assert_arrived(&[&of_small, &of_small, &of_parted, &of_large]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_at_random_bytes_cost_no_more_than_their_parts() {
    let cuts = 10;
    let mut scene = Scene::set(2, Network { cuts, parts: 13, ..Network::default() }).await;
    let (small, of_small) = scene.file("small.ogg", SMALL);
    let (large, of_large) = scene.file("large.wav", LARGE);
    scene.start(&[&large, &small]).ends_well(&scene).await;
    assert!(scene.api.cuts_left() < cuts && scene.s3.cuts_left() == 0, "{}", scene.words());
    scene.assert_arrived(&[&of_small, &of_large]).await;
    let more = scene.s3.bytes_up() - LARGE - SMALL;
    assert!(more <= cuts as u64 * PART, "{more} bytes were sent again after {cuts} cuts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_killed_at_random_moments_resumes() {
    let pause = Duration::from_millis(2);
    let mut scene = Scene::set(3, Network { pause, ..Network::default() }).await;
    let (small, of_small) = scene.file("small.ogg", SMALL);
    let (large, of_large) = scene.file("large.wav", LARGE);
    let kills = 6;
    for _ in 0..kills {
        let client = scene.start(&[&small, &large]);
        let moment = scene.random.below(400);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        assert!(client.kill(), "the client was too quick");
    }
    scene.start(&[&small, &large]).ends_well(&scene).await;
    scene.assert_arrived(&[&of_small, &of_large]).await;
    // What was under way at each kill: as many parts as go side by side.
    let more = scene.s3.bytes_up() - LARGE - SMALL;
    assert!(more <= kills * 4 * PART, "{more} bytes were sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_is_killed_at_random_moments_is_waited_for() {
    let pause = Duration::from_millis(2);
    let mut scene = Scene::set(4, Network { pause, ..Network::default() }).await;
    let (large, of_large) = scene.file("large.wav", LARGE);
    let client = scene.start(&[&large]);
    for _ in 0..3 {
        let moment = scene.random.below(500);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        scene.kill_the_stack();
    }
    client.ends_well(&scene).await;
    scene.assert_arrived(&[&of_large]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_that_end_meanwhile_are_asked_for_again() {
    let mut scene = Scene::set(5, Network { pause: Duration::from_millis(10), ..Network::default() }).await;
    scene.s3.age_urls_after(Duration::from_millis(1100));
    let (large, of_large) = scene.file("large.wav", LARGE);
    scene.start(&[&large]).ends_well(&scene).await;
    assert!(scene.words().contains("Request has expired"), "{}", scene.words());
    scene.assert_arrived(&[&of_large]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_uploaded_as_a_new_recording() {
    let pause = Duration::from_millis(20);
    let mut scene = Scene::set(6, Network { pause, ..Network::default() }).await;
    let (large, _) = scene.file("large.wav", LARGE);
    let client = scene.start(&[&large]);
    while scene.s3.bytes_up() < PART {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Two processes do not send the same file.
    let other = scene.upload(&[], &[&large]).await;
    assert_eq!(other.status.code(), Some(1));
    assert!(text(&other.stderr).contains("by another process"), "{}", text(&other.stderr));
    File::options().append(true).open(&large).unwrap().write_all(b"more").unwrap();
    let mut client = client;
    let status = loop {
        if let Some(status) = client.0.try_wait().unwrap() {
            break status;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(status.code(), Some(1));
    assert!(scene.words().contains("changed while it was sent"), "{}", scene.words());

    let output = scene.upload(&[], &[&large]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("is begun anew"), "{}", text(&output.stderr));
    let expected = hex::encode(Sha256::digest(fs::read(&large).unwrap()));
    let uploaded: Vec<_> = scene.recordings().await.into_iter().filter(|it| it["status"] != "pending").collect();
    assert_eq!(uploaded.len(), 1);
    assert_eq!(uploaded[0]["content_sha256"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_after_404_and_stops_after_a_refusal() {
    let mut scene = Scene::set(7, Network { pause: Duration::from_millis(20), ..Network::default() }).await;
    let (large, of_large) = scene.file("large.wav", LARGE);
    let client = scene.start(&[&large]);
    while scene.s3.bytes_up() < PART {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(client.kill());
    let path = format!("/v1/recordings/{}", scene.recordings().await[0]["id"].as_str().unwrap());
    let key = scene.stack.get("CAPSTAN_API_KEY");
    scene.stack.client().call(Method::DELETE, &path, key, None).await.unwrap();
    scene.start(&[&large]).ends_well(&scene).await;
    assert!(scene.words().contains("is gone, and is begun anew"), "{}", scene.words());
    scene.assert_arrived(&[&of_large]).await;

    let (small, _) = scene.file("small.ogg", SMALL);
    let unknown = scene.upload(&["--key", "sk_test_nobody", "--end-user", "eu_1"], &[&small]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("401"), "{}", text(&unknown.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_file_holds_no_secrets() {
    let mut scene = Scene::set(8, Network { pause: Duration::from_millis(20), ..Network::default() }).await;
    let (large, _) = scene.file("large.wav", LARGE);
    let client = scene.start(&[&large]);
    while scene.s3.bytes_up() < PART {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(client.kill());
    let mut states = 0;
    for entry in fs::read_dir(scene.root.path().join("states")).unwrap() {
        let state = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!state.contains("dtok_") && !state.contains("http") && !state.contains("Signature"), "{state}");
        states += usize::from(state.contains("rec_"));
    }
    assert_eq!(states, 1);

    let (small, _) = scene.file("small.ogg", SMALL);
    let missing = scene.root.path().join("missing.ogg");
    let some = scene.upload(&[], &[&small, &missing]).await;
    assert_eq!(some.status.code(), Some(1));
    assert!(text(&some.stdout).contains("small.ogg"), "what can be uploaded is");
    for wrong in [&["--parallel", "0"][..], &["--key", "up_1"], &["--url", "capstan"], &["--key", "sk_test_1"]] {
        let output = scene.upload(wrong, &[&small]).await;
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {}", text(&output.stderr));
    }
    // Nothing is sent anywhere with a key of elsewhere.
    let mut command = capstan(&scene.data());
    command.args(["upload", "--url", "http://127.0.0.1:1"]).arg(&small).env_remove("CAPSTAN_API_KEY");
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), json!(text(&output.stderr).contains("--key"))), (Some(2), json!(true)));
}

/// The large one: `cargo test -p capstan --test stack -- --ignored --nocapture two_gibibytes`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and 4 GB of disk"]
async fn two_gibibytes_arrive_whole_through_fifty_cuts_and_kills_of_both_sides() {
    const SIZE: u64 = 2 * 1024 * 1024 * 1024;
    let cuts = 50;
    let mut scene = Scene::set(9, Network { cuts, parts: 410, ..Network::default() }).await;
    let (file, hash) = scene.file("large.wav", SIZE);
    let start = Instant::now();
    let mut client = scene.start(&[&file]);
    for kill in 0..10 {
        let moment = 500 + scene.random.below(2000);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        if kill % 2 == 0 {
            assert!(client.kill(), "the client was too quick");
            client = scene.start(&[&file]);
        } else {
            scene.kill_the_stack();
        }
    }
    client.ends_well(&scene).await;
    let more = scene.s3.bytes_up() - SIZE;
    let (seconds, left) = (start.elapsed().as_secs(), scene.s3.cuts_left());
    let summary = format!("{seconds} s, {} cuts, {} MiB sent again", cuts - left, more >> 20);
    writeln!(std::io::stderr(), "{summary}").unwrap();
    assert_eq!(left, 0, "{summary}");
    scene.assert_arrived(&[&hash]).await;
    // Of each kill what was under way, of each cut its part.
    assert!(more <= (10 * 4 + cuts as u64) * PART, "{summary}");
}

/// A fleet: `cargo test -p capstan --test stack -- --ignored --nocapture sixty_four`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn sixty_four_devices_at_once_each_arrive_once_and_whole() {
    const SIZE: u64 = 4 * PART;
    let mut scene = Scene::set(10, Network { cuts: 64, parts: 4, ..Network::default() }).await;
    let (key, api) = (scene.stack.get("CAPSTAN_API_KEY").to_owned(), scene.stack.client());
    let post = async |path: &str, body: Value| api.call(Method::POST, path, &key, Some(&body)).await.unwrap();
    let (mut commands, mut hashes) = (Vec::new(), Vec::new());
    for number in 0..64 {
        let end_user = post("/v1/end-users", json!({})).await;
        let device = post("/v1/devices", json!({"serial_number": format!("FLEET-{number:04}")})).await;
        let bind = format!("/v1/devices/{}/bind", device["id"].as_str().unwrap());
        let bound = post(&bind, json!({"end_user_id": end_user["id"]})).await;
        let (file, hash) = scene.file(&format!("{number}.wav"), SIZE);
        let words = File::options().create(true).append(true).open(scene.root.path().join("words")).unwrap();
        let mut command = scene.command(&[], &[&file]);
        command.env("CAPSTAN_API_KEY", bound["device_token"].as_str().unwrap()).stdout(Stdio::null()).stderr(words);
        commands.push(command);
        hashes.push(hash);
    }
    let start = Instant::now();
    let clients: Vec<_> = commands.iter_mut().map(|command| Client(command.spawn().unwrap())).collect();
    for client in clients {
        client.ends_well(&scene).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    writeln!(std::io::stderr(), "{seconds:.1} s, {:.1} MiB/s", ((64 * SIZE) >> 20) as f64 / seconds).unwrap();
    scene.assert_arrived(&hashes.iter().map(String::as_str).collect::<Vec<_>>()).await;
}
