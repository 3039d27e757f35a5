use serde_json::json;

use super::*;

fn parse(text: &str) -> Result<Template, TemplateError> {
    Template::parse(text, &[])
}

#[test]
fn project_template_can_be_parsed() {
    let template = Template::of_this_project().unwrap();
    let create = template.functions.iter().find(|function| function.name == "create-recording").unwrap();
    assert_eq!(create.environment["TABLE_NAME"], template.tables[0].name());
    assert!(create.triggers.contains(&Trigger::Http { method: "POST".to_owned(), path: "/v1/recordings".to_owned() }));
    assert_eq!(template.buckets[0].cors.len(), 1);
    assert!(template.api_cors.is_some());
    let default = template.throttles.default.unwrap();
    for (route, throttle) in &template.throttles.routes {
        assert!(throttle.rate < default.rate && f64::from(throttle.burst) >= throttle.rate, "{route}");
        let is_route = |trigger: &Trigger| match trigger {
            Trigger::Http { path, .. } if path == "$default" => route == path,
            Trigger::Http { method, path } => *route == format!("{method} {path}"),
            _ => false,
        };
        assert!(
            template.functions.iter().any(|function| function.triggers.iter().any(is_route)),
            "{route} is not a route"
        );
    }
    for function in &template.functions {
        assert!(!function.triggers.is_empty(), "{} has no trigger", function.name);
    }
}

const SMALL: &str = r#"
Parameters:
  Suffix: { Type: String, Default: "" }
Conditions:
  HasSuffix: !Not [!Equals [!Ref Suffix, ""]]
Globals:
  Function: { Timeout: 7, Environment: { Variables: { LEVEL: info, OVERRIDDEN: global } } }
Resources:
  Bucket:
    Type: AWS::S3::Bucket
    Properties: { BucketName: !Sub "${AWS::StackName}-x" }
  F:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: f } }
    Properties:
      Environment:
        Variables:
          OVERRIDDEN: own
          BUCKET_ARN: !GetAtt Bucket.Arn
          JOINED: !Join ["-", [a, !Ref Bucket, !If [HasSuffix, !Ref Suffix, !Ref "AWS::NoValue"]]]
          LITERAL: !Sub "${!Kept} ${Bucket}"
      Events:
        Clock: { Type: Schedule, Properties: { Schedule: rate(5 minutes) } }
        Stored:
          Type: S3
          Properties:
            Bucket: !Ref Bucket
            Events: s3:ObjectCreated:*
            Filter: { S3Key: { Rules: [{ Name: suffix, Value: .ogg }] } }
"#;

#[test]
fn evaluates_intrinsics_and_globals() {
    let template = parse(SMALL).unwrap();
    let function = &template.functions[0];
    assert_eq!(
        json!(function.environment),
        json!({
            "LEVEL": "info",
            "OVERRIDDEN": "own",
            "BUCKET_ARN": "arn:aws:s3:::capstan-x",
            "JOINED": "a-capstan-x",
            "LITERAL": "${Kept} capstan-x",
        })
    );
    assert_eq!(function.timeout, Duration::from_secs(7));
    assert_eq!(
        function.triggers,
        [
            Trigger::Schedule { every: Duration::from_secs(300) },
            Trigger::ObjectCreated { bucket: "capstan-x".to_owned(), prefix: String::new(), suffix: ".ogg".to_owned() },
        ]
    );
}

#[test]
fn given_parameter_overrides_its_default() {
    let template = Template::parse(SMALL, &[("Suffix", "end")]).unwrap();
    assert_eq!(template.functions[0].environment["JOINED"], "a-capstan-x-end");
}

#[test]
fn error_for_unsupported_element_contains_its_location() {
    let unsupported = SMALL.replace("!GetAtt Bucket.Arn", "!ImportValue other");
    assert_eq!(
        parse(&unsupported).unwrap_err().to_string(),
        "Resources.F.Properties.Environment.Variables.BUCKET_ARN: \
         Fn::ImportValue with this argument is not supported"
    );
    let missing = SMALL.replace("!GetAtt Bucket.Arn", "!Ref Nowhere");
    assert_eq!(
        parse(&missing).unwrap_err().to_string(),
        "Resources.F.Properties.Environment.Variables.BUCKET_ARN: Nowhere is neither a parameter nor a resource"
    );
}
