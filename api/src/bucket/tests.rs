use super::*;

fn config(endpoint: &str) -> BucketConfig {
    BucketConfig {
        endpoint: endpoint.into(),
        bucket: "recordings".into(),
        region: "us-east-1".into(),
        prefix: "tandem/".into(),
        access_key: "AKIAIOSFODNN7EXAMPLE".into(),
        secret_key: "secret-of-the-operator".into(),
    }
}

#[test]
fn where_clouds_keep_their_credentials_nobody_goes() {
    for endpoint in [
        "http://169.254.169.254",
        "http://[fe80::1]",
        "http://[fd00:ec2::254]",
        "http://[::ffff:169.254.169.254]",
        "http://[64:ff9b::169.254.169.254]",
        "http://[64:ff9b::a9fe:1]:9000",
        "http://[64:ff9b::100.100.100.200]",
        "http://[64:ff9b::168.63.129.16]",
        "http://[64:ff9b::]",
        "http://[64:ff9b:1::169.254.169.254]",
        "http://[2002:a9fe:a9fe::1]",
        "http://100.100.100.200:80",
        "http://0.0.0.0:9000",
        "http://2852039166",
        "ftp://store.example",
        "http://user@store.example",
        "http://store.example/deeper",
        "http://store.example/?x=1",
        "nothing",
    ] {
        assert_eq!(Bucket::new(config(endpoint)).unwrap_err(), BucketError::Endpoint, "{endpoint}");
    }
    for endpoint in [
        "https://s3.example",
        "http://10.0.0.7:9000",
        "http://127.0.0.1:9000/",
        "http://[fd12::7]:9000",
        "http://[64:ff9b::10.0.0.7]:9000",
        "http://[64:ff9b::808:808]",
        "http://[2002:a00:7::1]:9000",
    ] {
        assert!(Bucket::new(config(endpoint)).is_ok(), "{endpoint}");
    }
    for bucket in ["ab", "Upper", "a..b", "a/b", ""] {
        let config = BucketConfig { bucket: bucket.into(), ..config("https://s3.example") };
        assert!(Bucket::new(config).is_err(), "{bucket}");
    }
}

#[test]
fn days_are_counted_as_the_calendar_has_them() {
    for (seconds, text) in [
        (0, "19700101T000000Z"),
        (951_782_400, "20000229T000000Z"),
        (1_369_353_600, "20130524T000000Z"),
        (1_767_225_599, "20251231T235959Z"),
        (1_772_323_200, "20260301T000000Z"),
        (4_107_542_400, "21000301T000000Z"),
    ] {
        assert_eq!(stamp(UnixMillis(seconds * 1_000)), text);
    }
}

#[test]
fn an_answer_is_quoted_by_its_code_alone() {
    assert_eq!(code("<Error><Code>SlowDown</Code><Key>secret</Key></Error>"), "SlowDown");
    assert_eq!(code("<Code>a\nb<c</Code>"), "abc");
    assert_eq!(code("no xml"), "");
    let shown = format!("{:?}", config("https://s3.example"));
    assert!(!shown.contains("secret") && !shown.contains("AKIA"), "{shown}");
}

#[tokio::test]
async fn what_is_gone_and_who_is_away_are_told_apart() {
    let bucket = Bucket::new(config("http://127.0.0.1:1")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.mp3");
    let now = UnixMillis(1_700_000_000_000);
    assert_eq!(bucket.put("a.mp3", &file, now).await, Err(BucketError::Gone));
    std::fs::write(&file, b"sound").unwrap();
    assert!(matches!(bucket.put("a.mp3", &file, now).await, Err(BucketError::Failed(_))));
    assert!(matches!(bucket.delete("a.mp3", now).await, Err(BucketError::Failed(_))));
}
