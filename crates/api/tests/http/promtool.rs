//! What `promtool` does with a server.

use std::path::Path;
use std::process::Command;

use crate::differential::data;
use crate::server::{self, Server};

/// Runs `promtool ARGS`, `@U` being the server's address and `@T` the time of the newest samples and `@B` a
/// minute before, and compares the
/// status and what it prints: `expected` are its sorted lines, or the first of them.
fn check(program: &Path, server: &Server, base: i64, args: &str, expected: (i32, &[&str])) {
    let fill = |text: &str| {
        text.replace("@U", server.url()).replace("@T", &base.to_string()).replace("@B", &(base - 60).to_string())
    };
    let output = Command::new(program).args(args.split(' ').map(fill)).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines.truncate(expected.1.len());
    let wanted: Vec<String> = expected.1.iter().map(|line| fill(line)).collect();
    assert_eq!(
        (output.status.code(), lines),
        (Some(expected.0), wanted.iter().map(|l| &l[..]).collect()),
        "{args}: {text}"
    );
}

#[test]
fn promtool_gets_its_answers() {
    let Some(program) = testkit::peer("promtool") else { return };
    let server = Server::start();
    let base = server::now_seconds() / 60 * 60;
    for request in data(base) {
        assert_eq!(server::write(server.url(), &request), 204);
    }
    let run = |args: &str, expected: (i32, &[&str])| check(&program, &server, base, args, expected);
    run("check healthy --url=@U", (0, &["  SUCCESS:  skep is Healthy."]));
    run("check ready --url=@U", (0, &["  SUCCESS:  skep is Ready."]));
    run(
        "query instant --time=@T @U up{job=\"api\"}",
        (0, &["up{instance=\"a:1\", job=\"api\"} => 1 @[@T]", "up{instance=\"b:2\", job=\"api\"} => 1 @[@T]"]),
    );
    run(
        "query instant --time=@T @U up{",
        (
            1,
            &[
                "query error: bad_data: invalid parameter \"query\": 1:4: parse error: unexpected end of input inside braces",
            ],
        ),
    );
    run("query range --start=@B --end=@T --step=1m @U sum(up)", (0, &["6 @[@B]", "6 @[@T]", "{} =>"]));
    run("query series --match=odd @U", (0, &["{__name__=\"odd\", a.b=\"dotted\"}"]));
    run("query labels @U job", (0, &["api", "db", "web"]));
    run("query labels --match=odd @U job", (0, &[]));
}
