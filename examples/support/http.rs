//! An HTTP answer out of its bytes, for who has a socket and no HTTP client.

use std::io;

use azure_iot_dps::protocol::Response;

/// The answer, once it is whole.
pub fn parse(bytes: &[u8]) -> io::Result<Option<Response<'static>>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) = answer.parse(bytes).map_err(io::Error::other)? else { return Ok(None) };
    let headers = answer.headers.iter().filter_map(|it| Some((it.name, std::str::from_utf8(it.value).ok()?)));
    let header = |wanted: &str| headers.clone().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|it| it.1);
    let rest = bytes.get(start..).unwrap_or_default();
    let body = match (header("transfer-encoding"), header("content-length").map(str::parse)) {
        (Some("chunked"), _) => unchunk(rest)?,
        (None, Some(Ok(length))) => rest.get(..length).map(|body| (body.to_vec(), length)),
        _ => return Err(io::Error::other("an answer without a length")),
    };
    let Some((body, length)) = body else { return Ok(None) };
    if rest.len() > length {
        return Err(io::Error::other("more than one answer"));
    }
    let response = Response::new(answer.code.unwrap_or_default(), body);
    Ok(Some(headers.fold(response, |response, (name, value)| response.with_header(name, value.to_owned()))))
}

/// The body out of its chunks, as the service sends it, and how long it was with them; `None` until it is whole.
fn unchunk(mut rest: &[u8]) -> io::Result<Option<(Vec<u8>, usize)>> {
    let (mut body, whole) = (Vec::new(), rest.len());
    loop {
        let size = httparse::parse_chunk_size(rest).map_err(|_| io::Error::other("a chunk without a size"))?;
        let httparse::Status::Complete((start, size)) = size else { return Ok(None) };
        let end =
            usize::try_from(size).ok().and_then(|size| start.checked_add(size)).ok_or(io::ErrorKind::InvalidData)?;
        let Some(chunk) = rest.get(start..end) else { return Ok(None) };
        let Some(after) = rest.get(end..).and_then(|rest| rest.get(2..)) else { return Ok(None) };
        body.extend(chunk);
        rest = after;
        if size == 0 {
            return Ok(Some((body, whole.saturating_sub(rest.len()))));
        }
    }
}
