#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use capstan_domain::PartPlan;

use crate::bill::Tariff;
use crate::life::{Life, in_parts};
use crate::metered::Metered;

/// What is counted, and what a million costs in US dollars, durations being assumed.
async fn counted(life: Life) -> String {
    let metered = Metered::start().await.unwrap();
    let count = life.count(&metered).await.unwrap();
    let usd = Tariff::read().unwrap().usd_per_million(life.name(), &count, metered.template());
    format!("{count}USD a million {usd:.2}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_of_one_medium_costs_no_more_calls_and_units_than_these() {
    insta::assert_snapshot!(counted(Life::OneMedium).await, @r"
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
    DynamoDB in all 17: 10 read, 18 written
    USD a million 67.62
    ");
    insta::assert_snapshot!(counted(Life::OneMediumCompletedAtOnce).await, @r"
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
    DynamoDB in all 19: 10 read, 20 written
    USD a million 69.27
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_pictures_beside_it_cost_no_more_than_these() {
    insta::assert_snapshot!(counted(Life::Pictures).await, @r"
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
    DynamoDB in all 47: 12 read, 174 written
    USD a million 262.66
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_parts_costs_one_request_a_part_and_these() {
    insta::assert_snapshot!(counted(Life::Parts).await, @r"
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
    DynamoDB in all 20: 12 read, 20 written
    USD a million 8111.17
    ");
    let of = async |parts: usize| {
        let size = (parts - 1) * PartPlan::MIN_PART_SIZE as usize + 1000;
        in_parts(&Metered::start().await.unwrap(), size).await.unwrap()
    };
    let (two, mut four) = (of(2).await, of(4).await);
    *four.s3.get_mut("UploadPart").unwrap() -= 2;
    assert_eq!(two, four, "a part more is one request more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_in_which_nothing_is_due_costs_no_more_than_eight_queries() {
    insta::assert_snapshot!(counted(Life::Minute).await, @r"
    API requests 0, events 0
    Lambda run-due-work 1
    DynamoDB Query 8: 4 read, 0 written
    DynamoDB in all 8: 4 read, 0 written
    USD a million 1.80
    ");
}
