//! How a result can be looked at, and how large a picture is before anything decodes it. Pure: these bytes are hostile.

/// The most text that is shown.
pub const TEXT_BYTES_MAX: u64 = 256 << 10;
/// The largest picture that is read.
pub const PICTURE_BYTES_MAX: u64 = 8 << 20;
/// The most pixels that are decoded: 24 megapixels take about 100 MB.
const PIXELS_MAX: u64 = 24_000_000;

/// How a result is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As text.
    Text,
    /// As a picture.
    Picture,
    /// Not at all.
    Opaque,
}

/// How a media type is shown. SVG is a program as much as a picture: it is shown as the text that it is.
pub fn kind_of(media_type: &str) -> Kind {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "image/png" | "image/jpeg" | "image/gif" | "image/webp" => Kind::Picture,
        "image/svg+xml"
        | "application/json"
        | "application/xml"
        | "application/toml"
        | "application/yaml"
        | "application/x-yaml"
        | "application/javascript"
        | "application/x-sh"
        | "application/sql"
        | "inode/x-empty" => Kind::Text,
        text if text.starts_with("text/") || text.ends_with("+json") || text.ends_with("+xml") => Kind::Text,
        _ => Kind::Opaque,
    }
}

/// The type of a picture, where its header says that it is one and not too large; else why it is not shown.
pub fn picture_type(bytes: &[u8]) -> Result<&'static str, String> {
    let Some((media_type, width, height)) = header(bytes) else {
        return Err("It is no picture of a kind that is shown here".to_owned());
    };
    if u64::from(width) * u64::from(height) > PIXELS_MAX || width == 0 || height == 0 {
        return Err(format!("It has {width} × {height} pixels, more than is shown here"));
    }
    Ok(media_type)
}

/// Type, width and height from the header: PNG (IHDR), GIF (logical screen), WebP (VP8, VP8L, VP8X), JPEG (SOF).
fn header(bytes: &[u8]) -> Option<(&'static str, u32, u32)> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.get(12..16)? == b"IHDR" {
        return Some(("image/png", big(bytes.get(16..20)?), big(bytes.get(20..24)?)));
    }
    if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        return Some(("image/gif", little(bytes.get(6..8)?), little(bytes.get(8..10)?)));
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12)? == b"WEBP" {
        let (width, height) = webp(bytes)?;
        return Some(("image/webp", width, height));
    }
    if bytes.starts_with(b"\xff\xd8\xff") {
        let (width, height) = jpeg(bytes)?;
        return Some(("image/jpeg", width, height));
    }
    None
}

fn webp(bytes: &[u8]) -> Option<(u32, u32)> {
    match bytes.get(12..16)? {
        b"VP8 " => Some((little(bytes.get(26..28)?) & 0x3fff, little(bytes.get(28..30)?) & 0x3fff)),
        b"VP8L" => {
            let packed = little(bytes.get(21..25)?);
            Some(((packed & 0x3fff) + 1, ((packed >> 14) & 0x3fff) + 1))
        }
        b"VP8X" => Some((little(bytes.get(24..27)?) + 1, little(bytes.get(27..30)?) + 1)),
        _ => None,
    }
}

/// Walks the markers of a JPEG to its start of frame.
fn jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        if *bytes.get(at)? != 0xff {
            return None;
        }
        let marker = *bytes.get(at + 1)?;
        match marker {
            // Fill bytes.
            0xff => at += 1,
            // Every start of frame but the tables that share its range.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                return Some((big(bytes.get(at + 7..at + 9)?), big(bytes.get(at + 5..at + 7)?)));
            }
            // Markers without a length.
            0x01 | 0xd0..=0xd8 => at += 2,
            // The picture itself, or its end, before any frame.
            0xd9 | 0xda => return None,
            _ => at += 2 + (big(bytes.get(at + 2..at + 4)?) as usize).max(2),
        }
    }
}

fn big(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn little(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes
    }

    #[test]
    fn a_pictures_size_is_read_before_it_is_decoded() {
        let jpeg = [0xff, 0xd8, 0xff, 0xe0, 0, 4, 0, 0, 0xff, 0xc2, 0, 11, 8, 0, 200, 1, 44];
        assert_eq!(header(&jpeg), Some(("image/jpeg", 300, 200)));
        assert_eq!(header(b"GIF89a\x0a\x00\x14\x00"), Some(("image/gif", 10, 20)));
        assert_eq!(header(&png(640, 480)), Some(("image/png", 640, 480)));
        let mut webp = b"RIFF....WEBPVP8X....\0\0\0\0".to_vec();
        webp.extend([0x3f, 0x1f, 0, 0x57, 0x02, 0]);
        assert_eq!(header(&webp), Some(("image/webp", 8_000, 600)));
    }

    #[test]
    fn a_picture_that_would_fill_the_memory_is_not_shown() {
        assert_eq!(picture_type(&png(6_000, 4_000)), Ok("image/png"));
        assert!(picture_type(&png(60_000, 60_000)).is_err());
        assert!(picture_type(&png(u32::MAX, u32::MAX)).is_err());
        assert!(picture_type(&png(0, 10)).is_err());
    }

    #[test]
    fn a_broken_header_is_no_picture() {
        let whole =
            [png(1, 1), b"\xff\xd8\xff\xe0\0\0\xff".to_vec(), b"RIFF....WEBPVP8L".to_vec(), b"GIF89a\0".to_vec()];
        for bytes in whole {
            for length in 0..bytes.len() {
                assert!(picture_type(&bytes[..length]).is_err());
            }
        }
        assert!(picture_type(b"<svg onload=alert(1)>").is_err());
    }

    #[test]
    fn svg_is_shown_as_text() {
        assert_eq!(kind_of("image/svg+xml"), Kind::Text);
        assert_eq!(kind_of("text/html; charset=utf-8"), Kind::Text);
        assert_eq!(kind_of("image/PNG"), Kind::Picture);
        assert_eq!(kind_of("application/pdf"), Kind::Opaque);
        assert_eq!(kind_of(""), Kind::Opaque);
    }
}
