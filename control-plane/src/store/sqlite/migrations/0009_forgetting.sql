-- What ended long ago is found without reading the whole table.
CREATE INDEX certificates_by_end ON certificates (not_after_ms);
CREATE INDEX enrolment_tokens_by_end ON enrolment_tokens (expires_at_ms);
