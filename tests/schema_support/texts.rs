//! Texts that a rule accepts and refuses, for the tests with and without an API server.

pub const DURATIONS: [&str; 8] = ["1s", "59s", "1m", "90m", "1h30m", "8h", "4h59m59s", "28799s"];

pub const NO_DURATIONS: [&str; 26] = [
    "",
    "0s",
    "0h",
    "08h",
    "8",
    "h",
    "-1h",
    "+1h",
    "1.5h",
    "1h1h",
    "30m1h",
    "4 d",
    "4D",
    "500ms",
    "1w",
    " 8h",
    "8h ",
    "8h\n",
    "99999999999999999999h",
    "10000d",
    "１h",
    "1h30",
    "PT8H",
    "8 hours",
    "∞",
    "٨h",
];

pub const LINKS: [&str; 8] = [
    "https://support.example/2611210040000123",
    "https://support.example",
    "https://support.example:8443/a?b=c#d",
    "https://support.example/@kim",
    "https://support.example/?to=a@b.example",
    "https://xn--bcher-kva.example/",
    "https://192.0.2.1/",
    "https://[2001:db8::1]/",
];

pub const NO_LINKS: [&str; 30] = [
    "http://support.example/1",
    "ftp://support.example/1",
    "javascript:alert(1)//support.example",
    "data:text/html,<b>",
    "support.example/1",
    "//support.example/1",
    "/support.example/1",
    "https://",
    "https:///1",
    "https:support.example",
    "https:/support.example",
    "https://kim@support.example/",
    "https://kim:secret@support.example/",
    "https://support.example@evil.example/",
    "https://support.example:443@evil.example/",
    "https://support.example?@evil.example/",
    "https://support.example#@evil.example/",
    r"https://support.example\@evil.example/",
    "HTTPS://support.example@evil.example/",
    "hTTps://support.example@evil.example/",
    " https://support.example/",
    "https://support.example/ 1",
    "https://support.example/\n",
    "https://support.example/\u{202e}gpj",
    "https://support.example/\u{200b}1",
    "https://suррort.example/1",
    "https://bücher.example/",
    "https://support.example%00.evil.example/",
    "https://support.example:port/",
    "https://[::1/",
];

pub const VISIBLE: [&str; 6] = [
    "Grüße, 你好, שלום, مرحبا, नमस्ते",
    "one paragraph.  Two blanks, or three   in a row, are no gap",
    "\u{7e} and \u{a0} and \u{ac} and \u{ae}",
    "\u{200a}\u{2010}\u{2027}\u{202f}\u{205f}\u{fefe}",
    "👩 ❤\u{fe0f} 🇩🇪",
    r"\u202e written out is no character",
];

/// The characters that hide what is written.
pub fn hidden() -> Vec<char> {
    let hidden: Vec<char> = [
        0x00..=0x1f,
        0x7f..=0x9f,
        0xad..=0xad,
        0x34f..=0x34f,
        0x61c..=0x61c,
        0x115f..=0x1160,
        0x180b..=0x180f,
        0x200b..=0x200f,
        0x2028..=0x202e,
        0x2060..=0x206f,
        0x2800..=0x2800,
        0x3164..=0x3164,
        0xfeff..=0xfeff,
        0xffa0..=0xffa0,
        0xfff9..=0xfffb,
        // Of the 4096 tags, the first and last, and the tags of ASCII's ends.
        0xe0000..=0xe0001,
        0xe0020..=0xe0020,
        0xe007f..=0xe007f,
        0xe0fff..=0xe0fff,
    ]
    .into_iter()
    .flatten()
    .map(|code| char::from_u32(code).unwrap())
    .collect();
    assert_eq!(hidden.len(), 115);
    hidden
}

pub const MOMENTS: [&str; 6] = [
    "2026-11-27T12:00:00Z",
    "2026-11-27T12:00:00.123456789Z",
    "2026-11-27T23:59:59.5+23:59",
    "1000-01-01T00:00:01-00:00",
    "2999-12-31T23:59:59-23:59",
    "2028-02-29T12:00:00Z",
];

/// The API server takes each but the last seven for a `date-time`.
pub const NO_MOMENTS: [&str; 18] = [
    "2026-11-27T12:00:00:5Z",
    "2026-11-27T12:00:00,5Z",
    "2026-11-27T12:00:00+99:99",
    "2026-11-27T12:00:00+24:00",
    "2026-11-27T12:00:00Z0Z",
    "2026-11-27T12:00:00Ztx",
    "2026-11-27t12:00:00z",
    "2026-11-27T12:00:00z",
    "2026-11-27T12:00:00.1234567891Z",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59-23:59",
    "2026-11-27 12:00:00Z",
    "2026-11-27T24:00:00Z",
    "2026-11-27T12:00:60Z",
    "2026-13-27T12:00:00Z",
    "2026-11-27",
    "x2026-11-27T12:00:00Z",
    "2026-11-27T12:00:00Z\n",
];
