#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use capstan_domain::PartPlan;

use crate::bill::Tariff;
use crate::metered::Metered;
use crate::scenario::{Scenario, multipart};

/// Count of one run, and US dollars per million runs with assumed durations.
async fn count_and_price(scenario: Scenario) -> String {
    let metered = Metered::start().await.unwrap();
    let count = scenario.count(&metered).await.unwrap();
    let usd = Tariff::read().unwrap().usd_per_million(scenario.name(), &count, metered.template());
    format!("{count}USD per million {usd:.2}")
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_of_a_single_file_recording_is_unchanged() {
    insta::assert_snapshot!(count_and_price(Scenario::SingleFile).await, @r"
    API requests 5, events 2
    Lambda complete-upload 1
    Lambda create-download-url 1
    Lambda create-recording 1
    Lambda create-upload-url 1
    Lambda get-recording 1
    Lambda on-object-created 2
    Lambda process-recording 1
    S3 GetObject 3
    S3 PutObject 2
    DynamoDB GetItem 10: 10 read, 0 written
    DynamoDB PutItem 1: 0 read, 5 written
    DynamoDB UpdateItem 6: 0 read, 13 written
    DynamoDB total 17: 10 read, 18 written
    USD per million 67.62
    ");
    insta::assert_snapshot!(count_and_price(Scenario::CompletedBeforeNotification).await, @r"
    API requests 5, events 2
    Lambda complete-upload 1
    Lambda create-download-url 1
    Lambda create-recording 1
    Lambda create-upload-url 1
    Lambda get-recording 1
    Lambda on-object-created 2
    Lambda process-recording 1
    S3 GetObject 3
    S3 HeadObject 1
    S3 PutObject 2
    DynamoDB GetItem 10: 10 read, 0 written
    DynamoDB PutItem 1: 0 read, 5 written
    DynamoDB UpdateItem 8: 0 read, 15 written
    DynamoDB total 19: 10 read, 20 written
    USD per million 69.27
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_of_a_recording_with_ten_images_is_unchanged() {
    insta::assert_snapshot!(count_and_price(Scenario::WithImages).await, @r"
    API requests 15, events 2
    Lambda complete-upload 1
    Lambda create-download-url 1
    Lambda create-recording 1
    Lambda create-upload-url 11
    Lambda get-recording 1
    Lambda on-object-created 12
    Lambda process-recording 1
    S3 GetObject 23
    S3 PutObject 12
    DynamoDB GetItem 10: 12 read, 0 written
    DynamoDB PutItem 1: 0 read, 5 written
    DynamoDB UpdateItem 36: 0 read, 169 written
    DynamoDB total 47: 12 read, 174 written
    USD per million 262.66
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn multipart_usage_is_unchanged_and_adds_one_request_per_part() {
    insta::assert_snapshot!(count_and_price(Scenario::Multipart).await, @r"
    API requests 6, events 2
    Lambda complete-multipart-upload 1
    Lambda complete-upload 1
    Lambda create-download-url 1
    Lambda create-recording 1
    Lambda create-upload-url 1
    Lambda get-recording 1
    Lambda on-object-created 3
    Lambda process-recording 1
    S3 CompleteMultipartUpload 1
    S3 CreateMultipartUpload 1
    S3 GetObject 3
    S3 ListParts 1
    S3 PutObject 2
    S3 UploadPart 191
    DynamoDB GetItem 12: 12 read, 0 written
    DynamoDB PutItem 1: 0 read, 5 written
    DynamoDB UpdateItem 7: 0 read, 15 written
    DynamoDB total 20: 12 read, 20 written
    USD per million 8111.17
    ");
    let count_of = async |parts: usize| {
        let size = (parts - 1) * PartPlan::MIN_PART_SIZE as usize + 1000;
        multipart(&Metered::start().await.unwrap(), size).await.unwrap()
    };
    let (two, mut four) = (count_of(2).await, count_of(4).await);
    *four.s3.get_mut("UploadPart").unwrap() -= 2;
    assert_eq!(two, four, "each further part must add exactly one request");
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_without_due_work_makes_eight_queries() {
    insta::assert_snapshot!(count_and_price(Scenario::IdleMinute).await, @r"
    API requests 0, events 0
    Lambda run-due-work 1
    DynamoDB Query 8: 4 read, 0 written
    DynamoDB total 8: 4 read, 0 written
    USD per million 1.80
    ");
}
