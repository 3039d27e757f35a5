use capstan_domain::{ContentType, Recording, TranscriptionId};
use capstan_lambda::{Function, http_function};
use capstan_stage::{RECORDING, Stage, call, event, page, with_credential, with_query};
use serde_json::json;

fn function(stage: &Stage) -> Function {
    http_function((stage.access(), stage.objects.clone()), stage.clock(), super::handle)
}

async fn recording(stage: &Stage, id: &str) -> Recording {
    stage.recording().id(id).holding(ContentType::AudioOpus, "x").completed().await
}

/// So many completed transcriptions of a recording, a second apart; gives their ids, newest first.
async fn transcriptions(stage: &Stage, of: &Recording, count: u128, exchanges: u32) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        stage.advance(1);
        let id = TranscriptionId::new(stage.now(), number).to_string();
        stage.transcription().of(of).id(&id).completed(&Stage::transcript(exchanges)).await;
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
    let stage = Stage::set().await;
    stage.transcription().completed(&Stage::transcript(1)).await;
    let answer = call(&function(&stage), event("list-transcriptions")).await;
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
    let stage = Stage::set().await;
    let (one, other) = (recording(&stage, "rec_1").await, recording(&stage, "rec_2").await);
    let of_one = transcriptions(&stage, &one, 7, 1).await;
    let of_other = transcriptions(&stage, &other, 4, 1).await;
    let function = function(&stage);
    let all = [of_other.clone(), of_one.clone()].concat();
    assert_eq!(pages(&function, &[("limit", "3")]).await.concat(), all);
    assert_eq!(pages(&function, &[("limit", "3"), ("recording_id", "rec_1")]).await.concat(), of_one);
    assert_eq!(pages(&function, &[("limit", "4"), ("recording_id", "rec_2")]).await, std::slice::from_ref(&of_other));

    let (first, next) = page(&function, "list-transcriptions", &[("limit", "5")]).await;
    let (of_first, of_next) =
        page(&function, "list-transcriptions", &[("limit", "3"), ("recording_id", "rec_1")]).await;
    transcriptions(&stage, &one, 2, 1).await;
    let (second, _) = page(&function, "list-transcriptions", &[("limit", "100"), ("cursor", &next.unwrap())]).await;
    assert_eq!([first, second].concat(), all);
    let rest = [("recording_id", "rec_1"), ("cursor", &of_next.unwrap())];
    assert_eq!([of_first, page(&function, "list-transcriptions", &rest).await.0].concat(), of_one);
}

#[tokio::test]
async fn one_query_a_shard_then_one_batch_or_the_recording_then_one_batch() {
    let stage = Stage::set().await;
    let recording = recording(&stage, RECORDING).await;
    transcriptions(&stage, &recording, 3, 1).await;
    let function = function(&stage);
    page(&function, "list-transcriptions", &[]).await;
    let mut calls = stage.emulators.take_calls();
    assert_eq!(calls.remove(0), "dynamodb:GetItem");
    assert_eq!(calls.pop().as_deref(), Some("dynamodb:BatchGetItem"));
    assert_eq!(calls, vec!["dynamodb:Query"; 8]);
    stage.advance(10);
    page(&function, "list-transcriptions", &[("recording_id", RECORDING)]).await;
    assert_eq!(stage.emulators.take_calls(), ["dynamodb:GetItem", "dynamodb:GetItem", "dynamodb:BatchGetItem"]);
}

#[tokio::test]
async fn long_texts_come_from_s3_and_a_page_ends_before_it_is_too_large() {
    let stage = Stage::set().await;
    let recording = recording(&stage, RECORDING).await;
    // Two megabytes each.
    let ids = transcriptions(&stage, &recording, 12, 7_000).await;
    let function = function(&stage);
    let answer = call(&function, event("list-transcriptions")).await;
    let listed = answer.body["data"].as_array().unwrap();
    let text = Stage::transcript(7_000).full_text();
    assert!(listed.iter().all(|one| one["text"] == json!(text)));
    assert!((2..12).contains(&listed.len()) && answer.body.to_string().len() < 5_000_100, "{}", listed.len());
    let fetched = stage.emulators.take_calls().iter().filter(|call| *call == "s3:GetObject").count();
    assert!((listed.len()..12).contains(&fetched), "{fetched}");
    assert_eq!(pages(&function, &[]).await.concat(), ids);
}

#[tokio::test]
async fn another_projects_another_modes_and_an_unknown_recording_have_no_transcriptions() {
    let stage = Stage::set().await;
    stage.transcription().pending().await;
    let function = function(&stage);
    let own = with_query(event("list-transcriptions"), &[("recording_id", RECORDING)]);
    assert_eq!(call(&function, own.clone()).await.body["data"].as_array().unwrap().len(), 1);
    for stranger in stage.strangers().await {
        for event in [own.clone(), event("list-transcriptions")] {
            let answer = call(&function, with_credential(event, &stranger)).await;
            assert_eq!((answer.status, &answer.body["data"]), (200, &json!([])));
        }
    }
    assert_eq!(page(&function, "list-transcriptions", &[("recording_id", "rec_unknown")]).await, (Vec::new(), None));
}

#[tokio::test]
async fn names_the_query_parameter_and_the_rule_that_it_breaks() {
    let stage = Stage::set().await;
    let function = function(&stage);
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
