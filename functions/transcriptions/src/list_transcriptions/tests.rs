use capstan_domain::{ContentType, Recording, TranscriptionId};
use capstan_lambda::Function;
use capstan_test_environment::{RECORDING, TestEnvironment, call, event, page, with_credential, with_query};
use serde_json::json;

fn function(environment: &TestEnvironment) -> Function {
    environment.http_function(super::handle)
}

async fn recording(environment: &TestEnvironment, id: &str) -> Recording {
    environment.recording().id(id).holding(ContentType::AudioOpus, "x").completed().await
}

/// So many completed transcriptions of a recording, a second apart; gives their ids, newest first.
async fn transcriptions(environment: &TestEnvironment, of: &Recording, count: u128, exchanges: u32) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        environment.advance(1);
        let id = TranscriptionId::new(environment.now(), number).to_string();
        environment.transcription().of(of).id(&id).completed(&TestEnvironment::transcript(exchanges)).await;
        ids.insert(0, id);
    }
    ids
}

async fn pages(function: &Function, query: &[(&str, &str)]) -> Vec<Vec<String>> {
    let (first, mut next) = page(function, "list-transcriptions", query).await;
    let mut pages = vec![first];
    while let Some(cursor) = next {
        let more;
        (more, next) = page(function, "list-transcriptions", &[query, &[("cursor", cursor.as_str())]].concat()).await;
        pages.push(more);
    }
    pages
}

#[tokio::test]
async fn a_page_has_whole_transcriptions() {
    let environment = TestEnvironment::start().await;
    environment.transcription().completed(&TestEnvironment::transcript(1)).await;
    let answer = call(&function(&environment), event("list-transcriptions")).await;
    assert_eq!(answer.status, 200);
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "data": [
        {
          "completed_at": "2024-11-20T09:00:00Z",
          "created_at": "2024-11-20T09:00:00Z",
          "diarization": true,
          "duration_ms": 2500,
          "error": null,
          "full_text": "Shall we begin? Yes, let us begin.",
          "id": "txn_01jd4fh7m0e5b8r2v9c6k3w1qz",
          "language": "en",
          "project_id": "proj_01jcz4j8002j6ykhd7mh6hksbc",
          "provider": "whisper",
          "recording_id": "rec_01jd4dny168n1mks12y199e68y",
          "segments": [
            {
              "confidence": 0.97,
              "end": 1.24,
              "speaker": "Speaker 1",
              "start": 0.0,
              "text": "Shall we begin?"
            },
            {
              "confidence": 0.97,
              "end": 2.49,
              "speaker": "Speaker 2",
              "start": 1.25,
              "text": "Yes, let us begin."
            }
          ],
          "started_at": "2024-11-20T09:00:00Z",
          "status": "completed",
          "text": "Shall we begin? Yes, let us begin.",
          "updated_at": "2024-11-20T09:00:00Z",
          "word_count": 7
        }
      ],
      "has_more": false,
      "next_cursor": null
    }
    "#);
}

#[tokio::test]
async fn pages_through_all_newest_first_and_each_once_whatever_is_asked_for_meanwhile() {
    let environment = TestEnvironment::start().await;
    let (one, other) = (recording(&environment, "rec_1").await, recording(&environment, "rec_2").await);
    let of_one = transcriptions(&environment, &one, 7, 1).await;
    let of_other = transcriptions(&environment, &other, 4, 1).await;
    let function = function(&environment);
    let all = [of_other.clone(), of_one.clone()].concat();
    assert_eq!(pages(&function, &[("limit", "3")]).await.concat(), all);
    assert_eq!(pages(&function, &[("limit", "3"), ("recording_id", "rec_1")]).await.concat(), of_one);
    assert_eq!(pages(&function, &[("limit", "4"), ("recording_id", "rec_2")]).await, std::slice::from_ref(&of_other));

    let (first, next) = page(&function, "list-transcriptions", &[("limit", "5")]).await;
    let (of_first, of_next) =
        page(&function, "list-transcriptions", &[("limit", "3"), ("recording_id", "rec_1")]).await;
    transcriptions(&environment, &one, 2, 1).await;
    let (second, _) = page(&function, "list-transcriptions", &[("limit", "100"), ("cursor", &next.unwrap())]).await;
    assert_eq!([first, second].concat(), all);
    let rest = [("recording_id", "rec_1"), ("cursor", &of_next.unwrap())];
    assert_eq!([of_first, page(&function, "list-transcriptions", &rest).await.0].concat(), of_one);
}

#[tokio::test]
async fn one_query_per_shard_then_one_batch() {
    let environment = TestEnvironment::start().await;
    let recording = recording(&environment, RECORDING).await;
    transcriptions(&environment, &recording, 3, 1).await;
    let function = function(&environment);
    page(&function, "list-transcriptions", &[]).await;
    let mut calls = environment.emulators.take_calls();
    assert_eq!(calls.remove(0), "dynamodb:GetItem");
    assert_eq!(calls.pop().as_deref(), Some("dynamodb:BatchGetItem"));
    assert_eq!(calls, vec!["dynamodb:Query"; 8]);
    environment.advance(10);
    page(&function, "list-transcriptions", &[("recording_id", RECORDING)]).await;
    assert_eq!(environment.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:GetItem", "dynamodb:BatchGetItem"]);
}

#[tokio::test]
async fn long_texts_are_read_from_s3() {
    let environment = TestEnvironment::start().await;
    let recording = recording(&environment, RECORDING).await;
    // Two megabytes each.
    let ids = transcriptions(&environment, &recording, 12, 7_000).await;
    let function = function(&environment);
    let answer = call(&function, event("list-transcriptions")).await;
    let listed = answer.body["data"].as_array().unwrap();
    let text = TestEnvironment::transcript(7_000).full_text();
    assert!(listed.iter().all(|one| one["text"] == json!(text)));
    assert!((2..12).contains(&listed.len()) && answer.body.to_string().len() < 5_000_100, "{}", listed.len());
    let fetched = environment.emulators.take_calls().iter().filter(|call| *call == "s3:GetObject").count();
    assert!((listed.len()..12).contains(&fetched), "{fetched}");
    assert_eq!(pages(&function, &[]).await.concat(), ids);
}

#[tokio::test]
async fn another_projects_another_modes_and_an_unknown_recording_have_no_transcriptions() {
    let environment = TestEnvironment::start().await;
    environment.transcription().pending().await;
    let function = function(&environment);
    let own = with_query(event("list-transcriptions"), &[("recording_id", RECORDING)]);
    assert_eq!(call(&function, own.clone()).await.body["data"].as_array().unwrap().len(), 1);
    for credential in environment.other_tenants().await {
        for event in [own.clone(), event("list-transcriptions")] {
            let answer = call(&function, with_credential(event, &credential)).await;
            assert_eq!((answer.status, &answer.body["data"]), (200, &json!([])));
        }
    }
    assert_eq!(page(&function, "list-transcriptions", &[("recording_id", "rec_unknown")]).await, (Vec::new(), None));
}

#[tokio::test]
async fn names_the_invalid_query_parameter_and_its_rule() {
    let environment = TestEnvironment::start().await;
    let function = function(&environment);
    for (name, value) in [
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "many"),
        ("cursor", "nonsense"),
        ("recording_id", "txn_1"),
        ("recording_id", "x"),
    ] {
        let answer = call(&function, with_query(event("list-transcriptions"), &[(name, value)])).await;
        assert_eq!((answer.status, &answer.body["error"]["param"]), (400, &json!(name)), "{name}={value}");
    }
}
