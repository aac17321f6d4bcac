//! Where in a JSON document an error lies, as a path that a person can follow: `instances[4].account`.

/// The message of a parse error: by path where the JSON is sound and its content is not, else by line and column.
pub(crate) fn message(bytes: &[u8], file: &str, error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let full = error.to_string();
    let what = full.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&full);
    if error.is_data() {
        match path(bytes, line, column).as_str() {
            "" => format!("{file}: {what}"),
            path => format!("{file}: {path}: {what}"),
        }
    } else {
        format!("{file}:{line}:{column}: {what}")
    }
}

enum Frame {
    Object { key: String, before_colon: bool },
    Array { index: usize },
}

/// The path to the value that ends at this place, in what is sound JSON up to there.
fn path(bytes: &[u8], line: usize, column: usize) -> String {
    let start: usize = bytes.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    let read = bytes.get(..start.saturating_add(column).min(bytes.len())).unwrap_or(bytes);
    let mut frames: Vec<Frame> = Vec::new();
    let mut text: Option<Vec<u8>> = None;
    let mut escaped = false;
    for byte in read {
        if let Some(seen) = &mut text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    if let Some(Frame::Object { key, before_colon: true }) = frames.last_mut() {
                        *key = String::from_utf8_lossy(seen).into_owned();
                    }
                    text = None;
                    continue;
                }
                _ => {}
            }
            seen.push(*byte);
            continue;
        }
        match (byte, frames.last_mut()) {
            (b'"', _) => text = Some(Vec::new()),
            (b'{', _) => frames.push(Frame::Object { key: String::new(), before_colon: true }),
            (b'[', _) => frames.push(Frame::Array { index: 0 }),
            (b'}' | b']', _) => drop(frames.pop()),
            (b':', Some(Frame::Object { before_colon, .. })) => *before_colon = false,
            (b',', Some(Frame::Object { before_colon, .. })) => *before_colon = true,
            (b',', Some(Frame::Array { index })) => *index = index.saturating_add(1),
            _ => {}
        }
    }
    let mut path = String::new();
    for frame in frames {
        match frame {
            Frame::Object { key, .. } if key.is_empty() => {}
            Frame::Object { key, .. } => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&key);
            }
            Frame::Array { index } => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_place_is_found() {
        let text = br#"{"a": {"b\"c": [1, {"d": "x}", "e": [2, 3"#;
        assert_eq!(path(text, 1, text.len()), "a.b\\\"c[1].e[1]");
        assert_eq!(path(b"[\n  {\n\"a\": 1,\n \"b\"", 4, 4), "[0].b");
        assert_eq!(path(b"", 0, 0), "");
    }
}
