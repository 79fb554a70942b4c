-- When each signature came in, and the control plane's own signature over that; empty for those that came before.
ALTER TABLE checkpoints ADD COLUMN received_at_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE checkpoints ADD COLUMN receipt BLOB NOT NULL DEFAULT x'';
-- The certificate of who signed the receipt. 0: nobody did.
ALTER TABLE checkpoints ADD COLUMN notary INTEGER NOT NULL DEFAULT 0;
