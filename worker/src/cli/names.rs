//! Names on the command line: what no database would hold is refused before it is asked.

use gritstone_store::MAX_NAME;
use jiff::Timestamp;
use jiff::fmt::temporal::Pieces;

/// A name of a queue, class or limit: 1 to 255 characters, none of them a control character.
pub(super) fn name(text: &str) -> Result<String, String> {
    check("name", text)?;
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        return Err(format!("the name has the control character {control:?}"));
    }
    Ok(text.to_owned())
}

/// Refuses a text that the store would refuse as a queue, class, id or key.
pub(super) fn check(what: &str, text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        return Err(format!("the {what} is empty"));
    }
    if length > MAX_NAME {
        return Err(format!("the {what} has {length} characters; {MAX_NAME} is the most"));
    }
    if text.contains('\0') {
        return Err(format!("the {what} contains a NUL character"));
    }
    Ok(())
}

/// A moment, in RFC 3339.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| {
        let is_one = |time: &Pieces<'_>| time.time().is_some() && time.offset().is_some();
        if Pieces::parse(text).is_ok_and(|time| is_one(&time)) {
            return format!(
                "`{text}` is out of range: {:.0} is the latest moment, {:.0} the earliest",
                Timestamp::MAX,
                Timestamp::MIN
            );
        }
        format!(
            "`{text}` is not a time: write it as 2026-12-01T09:00:00Z, or with an offset as 2026-12-01T10:00:00+01:00"
        )
    })
}
