//! The real amtool against skep and against Alertmanager: the same answers to the same commands.

use std::path::Path;
use std::process::Command;

use crate::sides::{Side, sides};

const CONFIG: &str = "route: {receiver: a, group_by: [alertname], routes: [{receiver: b, matchers: ['x=~\"1|2\"']}, {receiver: \"c d\", match: {y: \"1\"}, continue: true}]}
receivers: [{name: a},{name: b, webhook_configs: [{url: 'http://user:secret@127.0.0.1:1/x'}]},{name: c d}]
inhibit_rules: [{source_matchers: [s=crit], target_matchers: [s=warn], equal: [e]}]
time_intervals: [{name: office, time_intervals: [{times: [{start_time: 09:00, end_time: '17:00'}], weekdays: ['monday:friday']}]}]
";

/// What changes from run to run and from server to server: `h` is a digit of a hexadecimal number, `d` one of a decimal.
const VARYING: [(&str, &str); 4] = [
    ("hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh", "<id>"),
    ("dddd-dd-dd dd:dd:dd UTC", "<time>"),
    ("dddd-dd-ddTdd:dd:dd.dddZ", "<time>"),
    ("dddd-dd-ddTdd:dd:ddZ", "<time>"),
];

/// Whether a text begins as a pattern says.
fn begins(text: &str, pattern: &str) -> bool {
    text.len() >= pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(byte, wanted)| match wanted {
            b'h' => byte.is_ascii_hexdigit(),
            b'd' => byte.is_ascii_digit(),
            wanted => byte == wanted,
        })
}

/// The text with names in the place of what varies.
fn masked(side: &Side, text: &str) -> String {
    let text = text.replace(&side.address, "<address>");
    let (mut masked, mut rest) = (String::new(), &*text);
    while let Some(letter) = rest.chars().next() {
        let varying = VARYING.iter().find(|(pattern, _)| begins(rest, pattern));
        masked.push_str(varying.map_or(letter.encode_utf8(&mut [0; 4]), |(_, name)| name));
        rest = &rest[varying.map_or(letter.len_utf8(), |(pattern, _)| pattern.len())..];
    }
    masked
}

/// Exit code, output and errors of amtool.
fn amtool(program: &Path, side: &Side, arguments: &[&str]) -> (Option<i32>, String, String) {
    let home = tempfile::tempdir().unwrap();
    let url = format!("--alertmanager.url=http://{}", side.address);
    let output = Command::new(program)
        .args([&url, "--no-version-check"])
        .args(arguments)
        .env("HOME", home.path())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// Runs commands against both, and says what differs.
struct Pair<'a> {
    program: &'a Path,
    sides: &'a [Side; 2],
    compared: usize,
    different: Vec<String>,
}

impl Pair<'_> {
    /// The outputs of both. `{id}` in an argument is that of each side.
    fn run_with(&mut self, ids: &[String; 2], arguments: &[&str]) -> [String; 2] {
        let results = [0, 1].map(|i| {
            let arguments: Vec<String> = arguments.iter().map(|text| text.replace("{id}", &ids[i])).collect();
            amtool(self.program, &self.sides[i], &arguments.iter().map(String::as_str).collect::<Vec<_>>())
        });
        let [peer, own] = [0, 1].map(|i| {
            let (code, out, err) = &results[i];
            (*code, masked(&self.sides[i], out), masked(&self.sides[i], err))
        });
        self.compared += 1;
        if peer != own {
            self.different.push(format!("{arguments:?}\n  peer {peer:#?}\n  own {own:#?}"));
        }
        results.map(|(_, out, _)| out)
    }

    fn run(&mut self, arguments: &[&str]) -> [String; 2] {
        self.run_with(&Default::default(), arguments)
    }

    /// Waits until both know so many alerts.
    fn until_known(&self, count: usize) {
        testkit::poll_until("the alerts to be known", || {
            let known = |side: &Side| {
                let (_, out, _) =
                    amtool(self.program, side, &["alert", "query", "-o", "simple", "-a", "-i", "-s", "-u"]);
                out.lines().count() == count + 1
            };
            self.sides.iter().all(known).then_some(())
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn amtool_says_the_same_of_both() {
    let Some(program) = testkit::peer("amtool") else { return };
    let Some(sides) = sides(|_| CONFIG.to_owned()).await else { return };
    let mut pair = Pair { program: &program, sides: &sides, compared: 0, different: Vec::new() };
    alerts(&mut pair);
    silences(&mut pair);
    configuration(&mut pair);
    println!("{} commands", pair.compared);
    assert!(pair.different.is_empty(), "{}", pair.different.join("\n"));
}

fn alerts(pair: &mut Pair<'_>) {
    pair.run(&[
        "alert",
        "add",
        "alertname=A",
        "x=1",
        "s=crit",
        "e=1",
        "--annotation=summary=hot",
        "--generator-url=http://g/?a=b",
    ]);
    pair.until_known(1);
    pair.run(&["alert", "add", "B", "x=9", "y=1", "s=warn", "e=1"]);
    pair.until_known(2);
    pair.run(&["alert", "add", "C", "z=\"a b\"", "--start=2026-01-02T03:04:05Z", "--end=2096-01-02T03:04:05Z"]);
    pair.until_known(3);
    pair.run(&["alert", "add", "D", "1x=2"]);
    pair.run(&["alert", "add", "E", "x=1", "--start=2026-01-02T03:04:05Z", "--end=2025-01-02T03:04:05Z"]);
    for output in ["simple", "extended", "json"] {
        for query in [
            &[] as &[&str],
            &["x=9"],
            &["alertname=~A|B"],
            &["A"],
            &["x!=1", "y="],
            &["-r", "b"],
            &["-r", "b|a"],
            &["-i"],
            &["-a", "-i"],
        ] {
            pair.run(&[&["alert", "query", "-o", output], query].concat());
        }
    }
    for query in [&["-s"] as &[&str], &["-u"], &["x=~("], &["-r", "("], &["nothing=here"]] {
        pair.run(&[&["alert", "query"], query].concat());
    }
}

fn silences(pair: &mut Pair<'_>) {
    let id = |outputs: [String; 2]| outputs.map(|output| output.trim().to_owned());
    let first = id(pair.run(&["silence", "add", "x=9", "-c", "why", "-a", "me", "-d", "2h"]));
    let second = id(pair.run(&[
        "silence",
        "add",
        "alertname=~A.*",
        "y!=1",
        "z!~b|c",
        "-c",
        "more \"words\"",
        "-a",
        "you",
        "-d",
        "5h",
    ]));
    pair.run(&[
        "silence",
        "add",
        "x=1",
        "-c",
        "late",
        "-a",
        "me",
        "--start=2095-01-02T03:04:05Z",
        "--end=2096-01-02T03:04:05Z",
    ]);
    pair.run(&["silence", "add", "x=1", "-c", "annotated", "-a", "me", "--annotation=ticket=7", "-d", "9h"]);
    pair.run(&[
        "silence",
        "add",
        "x=1",
        "-c",
        "past",
        "-a",
        "me",
        "--start=2095-01-02T03:04:05Z",
        "--end=2094-01-02T03:04:05Z",
    ]);
    pair.run(&["silence", "add", "x=1", "-a", "me"]);
    pair.run(&["silence", "add", "x=~.*", "-c", "all", "-a", "me"]);
    for output in ["simple", "extended", "json"] {
        for query in [&[] as &[&str], &["x=9"], &["--within", "3h"], &["--expired"], &["--created-by", "you"]] {
            pair.run(&[&["silence", "query", "-o", output], query].concat());
        }
        pair.run_with(&second, &["silence", "query", "-o", output, "--id={id}"]);
        pair.run(&["alert", "query", "-o", output, "-s"]);
        pair.run(&["alert", "query", "-o", output]);
    }
    pair.run(&["silence", "query", "-q"]);
    let kept = pair.run(&["silence", "query", "-o", "json"]);
    // Active ones are changed in place, but not what they match.
    pair.run_with(&first, &["silence", "update", "-d", "3h", "-c", "longer", "{id}"]);
    pair.run_with(&first, &["silence", "update", "-d", "4h", "{id}"]);
    let nobody = "01234567-89ab-cdef-0123-456789abcdef";
    pair.run(&["silence", "update", "-d", "4h", nobody]);
    pair.run_with(&second, &["silence", "expire", "{id}"]);
    pair.run_with(&second, &["silence", "expire", "{id}"]);
    pair.run(&["silence", "expire", nobody]);
    pair.run(&["silence", "expire", "no-id"]);
    for output in ["simple", "extended", "json"] {
        pair.run(&["silence", "query", "-o", output]);
        pair.run(&["silence", "query", "-o", output, "--expired"]);
        pair.run(&["silence", "query", "-o", output, "--expired", "--within", "1h"]);
    }
    import(pair, &kept);
}

/// Silences as a query gave them before.
fn import(pair: &mut Pair<'_>, kept: &[String; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let files = [0, 1].map(|i| {
        let file = folder.path().join(i.to_string());
        std::fs::write(&file, &kept[i]).unwrap();
        file.display().to_string()
    });
    // One at a time, so that they have the same order everywhere.
    pair.run_with(&files, &["silence", "import", "-w", "1", "{id}"]);
    pair.run(&["silence", "query"]);
    pair.run_with(&files, &["silence", "import", "-w", "1", "--force", "{id}"]);
    pair.run(&["silence", "query"]);
    for id in amtool(pair.program, &pair.sides[0], &["silence", "query", "-q"]).1.lines() {
        assert_eq!(id.len(), 36);
    }
}

fn configuration(pair: &mut Pair<'_>) {
    // Ours shows routes and the names of receivers, without what Alertmanager fills in for what nobody wrote.
    let (code, shown, _) = amtool(pair.program, &pair.sides[1], &["config", "show"]);
    assert!(code == Some(0) && shown.contains("group_by") && !shown.contains("secret@"), "{shown}");
    pair.run(&["config", "routes", "show"]);
    for labels in [&["x=2"] as &[&str], &["y=1"], &["z=1"], &["x=2", "y=1"]] {
        pair.run(&[&["config", "routes", "test"], labels].concat());
        pair.run(&[&["config", "routes", "test", "--tree"], labels].concat());
        pair.run(&[&["config", "routes", "test", "--verify.receivers=b"], labels].concat());
    }
    pair.run(&["cluster", "show"]);
}
