use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use bytes::Bytes;
use capstan_emulators::template::Template;
use capstan_emulators::{Emulators, Storage, sdk_config_of};
use http::Request;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

const TEMPLATE: &str = r#"
Resources:
  T:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: PK, AttributeType: S }]
      KeySchema: [{ AttributeName: PK, KeyType: HASH }]
  B: { Type: AWS::S3::Bucket }
  E: { Type: AWS::Events::EventBus, Properties: { Name: bus } }
  Reads:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Statement: { Effect: Allow, Action: dynamodb:GetItem, Resource: !GetAtt T.Arn }
  Reader:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: reader } }
    Properties:
      Policies:
        - !Ref Reads
        - Statement:
            - { Effect: Allow, Action: s3:GetObject, Resource: !Sub "${B.Arn}/*" }
  Writer:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: writer } }
    Properties:
      Policies:
        - Statement:
            - { Effect: Allow, Action: s3:PutObject, Resource: !Sub "${B.Arn}/*" }
            - { Effect: Allow, Action: [s3:GetObject, s3:DeleteObject], Resource: !Sub "${B.Arn}/a/*" }
            - { Effect: Allow, Action: s3:ListBucket, Resource: !GetAtt B.Arn }
            - { Effect: Allow, Action: events:PutEvents, Resource: !GetAtt E.Arn }
"#;
const TABLE: &str = "capstan-t";
const BUCKET: &str = "capstan-b";

async fn emulators() -> Emulators {
    let emulators = Emulators::start(Storage::Memory).await.unwrap();
    emulators.create_resources(&Template::parse(TEMPLATE, &[]).unwrap()).unwrap();
    emulators
}

fn s3(emulators: &Emulators, function: &str) -> aws_sdk_s3::Client {
    aws_sdk_s3::Client::new(&sdk_config_of(function, &emulators.sdk_config()))
}

fn denials(emulators: &Emulators) -> Vec<String> {
    emulators.denials().iter().map(|denial| format!("{} {}", denial.function, denial.action)).collect()
}

#[tokio::test]
async fn dynamodb_and_eventbridge_deny_calls_without_permission() {
    let emulators = emulators().await;
    let key = || AttributeValue::S("a".to_owned());
    let reader = aws_sdk_dynamodb::Client::new(&sdk_config_of("reader", &emulators.sdk_config()));
    reader.get_item().table_name(TABLE).key("PK", key()).send().await.unwrap();
    let denied = reader.put_item().table_name(TABLE).item("PK", key()).send().await.unwrap_err();
    assert_eq!(denied.code(), Some("AccessDeniedException"));
    assert_eq!(
        denied.message(),
        Some(
            "User: arn:aws:sts::000000000000:assumed-role/reader is not authorized to perform: dynamodb:PutItem on \
             resource: arn:aws:dynamodb:us-east-1:000000000000:table/capstan-t because no identity-based policy allows \
             the dynamodb:PutItem action"
        )
    );
    for (function, may) in [("reader", false), ("writer", true)] {
        let bus = aws_sdk_eventbridge::Client::new(&sdk_config_of(function, &emulators.sdk_config()));
        let entry = PutEventsRequestEntry::builder().event_bus_name("bus").source("s").detail_type("d").detail("{}");
        assert_eq!(bus.put_events().entries(entry.build()).send().await.is_ok(), may, "{function}");
    }
    assert_eq!(denials(&emulators), ["reader dynamodb:PutItem", "reader events:PutEvents"]);

    let unknown = aws_sdk_dynamodb::Client::new(&sdk_config_of("unknown", &emulators.sdk_config()));
    let denied = unknown.get_item().table_name(TABLE).key("PK", key()).send().await.unwrap_err();
    assert_eq!(denied.code(), Some("UnrecognizedClientException"));
    assert!(s3(&emulators, "unknown").get_object().bucket(BUCKET).key("a/1").send().await.is_err());
}

#[tokio::test]
async fn presigned_url_has_the_current_permissions_of_its_signer() {
    let emulators = emulators().await;
    let for_an_hour = || PresigningConfig::expires_in(std::time::Duration::from_secs(3600)).unwrap();
    for (function, status) in [("writer", 200), ("reader", 403)] {
        let put =
            s3(&emulators, function).put_object().bucket(BUCKET).key("a/1").presigned(for_an_hour()).await.unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let answer = client.request(Request::put(put.uri()).body(Full::<Bytes>::from("x")).unwrap()).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{function}");
    }
    assert_eq!(denials(&emulators), ["reader s3:PutObject"]);
}

#[tokio::test]
async fn missing_object_is_404_only_with_list_permission() {
    let emulators = emulators().await;
    for (function, status) in [("writer", 404), ("reader", 403)] {
        let head = s3(&emulators, function).head_object().bucket(BUCKET).key("a/none").send().await.unwrap_err();
        assert_eq!(head.raw_response().unwrap().status().as_u16(), status, "{function}");
        let get = s3(&emulators, function).get_object().bucket(BUCKET).key("a/none").send().await.unwrap_err();
        assert_eq!(get.raw_response().unwrap().status().as_u16(), status, "{function}");
    }
    assert_eq!(denials(&emulators), ["reader s3:ListBucket"; 2]);
}

#[tokio::test]
async fn deleted_objects_and_copy_sources_need_permissions() {
    let emulators = emulators().await;
    let writer = s3(&emulators, "writer");
    for key in ["a/1", "a/2", "b/1"] {
        writer.put_object().bucket(BUCKET).key(key).send().await.unwrap();
    }
    let delete = async |keys: &[&str]| {
        let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(*key).build().unwrap()).collect();
        let delete = Delete::builder().set_objects(Some(objects)).build().unwrap();
        writer.delete_objects().bucket(BUCKET).delete(delete).send().await.is_ok()
    };
    assert!(!delete(&["a/1", "b/1"]).await);
    assert!(delete(&["a/1"]).await);
    let copy = async |from: &str| {
        let source = format!("{BUCKET}/{from}");
        writer.copy_object().bucket(BUCKET).key("a/3").copy_source(source).send().await.is_ok()
    };
    assert!(copy("a/2").await && !copy("b/1").await);
    assert_eq!(denials(&emulators), ["writer s3:DeleteObject", "writer s3:GetObject"]);
}
