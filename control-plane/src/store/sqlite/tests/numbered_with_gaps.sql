BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO "_sqlx_migrations" VALUES(1,'base','2026-12-01 05:51:08',1,X'8A1B6E59260C22B1B2D8D8CAF3D4D029558A9E986F8AC0E778783A4398C30DAB8E63D83D8FC098B23099CC1B3929D304',8218645);
INSERT INTO "_sqlx_migrations" VALUES(2,'authority','2026-12-01 05:51:08',1,X'D5919168AE836C21D02A008191B1B8D4DFF03F4ECA178A63CC6401193B56C72F8CE860A4A5D574D80C2B18D2197E3184',4056907);
INSERT INTO "_sqlx_migrations" VALUES(3,'enrolment','2026-12-01 05:51:08',1,X'B19A96E43A6CCDEAAA910D9E69DBA6C095951096487BB669B0182F16B6EF82F566E4D1C8C904628B914F0B4DEEA25D56',800132);
INSERT INTO "_sqlx_migrations" VALUES(10,'policy','2026-12-01 05:51:08',1,X'5FFCD5380E03CA5557B4EEFB44B5260C22015F1C439BCAC373D5D418646FB3898C2899AE8558512E8E0BA87C46DB752C',1362377);
INSERT INTO "_sqlx_migrations" VALUES(11,'base databases','2026-12-01 05:51:08',1,X'F67781B39A1834973755D594A7C1842BECB085D61CB64E6B97D54FDE091D1446C64EC0A9D5100923BB8A0B5B8B8C3777',680460);
INSERT INTO "_sqlx_migrations" VALUES(12,'registry','2026-12-01 05:51:08',1,X'F6CE15D91F3D06885F651117365CAFA53670B46112F33E425BC07F40EF664872E1EDAB0924DBF4AC56510EFA85443C15',1747091);
INSERT INTO "_sqlx_migrations" VALUES(20,'sidecars','2026-12-01 05:51:08',1,X'3237C4FB702D50BB0C98062021EF45AAF476EE85BCBA7CBF1EC83C8503B60942C60772CE692EF2F4756AC6673C268CC4',666830);
INSERT INTO "_sqlx_migrations" VALUES(21,'ledger','2026-12-01 05:51:08',1,X'857E0C824A7E7F624E609B419494C756B9E39B17E644C58E08A43D3D7FDCE8A36F94E9B8A6D2731CF1976B2E6AC8BAF7',1525945);
INSERT INTO "_sqlx_migrations" VALUES(22,'forgetting','2026-12-01 05:51:08',1,X'2BC663BF8B33EE5877027A235C95F9B621092D99351191803912ED018C32D30E7BDFAB4DA0C63272CA84BE3507CB0E22',630958);
INSERT INTO "_sqlx_migrations" VALUES(23,'subjects','2026-12-01 05:51:08',1,X'4288988F2A5162C9E16416B32E3AF748727E4975F6F1BCB4B3247B42C43D44D536ADC44B1CDC3EB97D22D42035D41A3C',1355014);
INSERT INTO "_sqlx_migrations" VALUES(24,'ledger file','2026-12-01 05:51:08',1,X'4019C72D4EAAF081A5D0BCEAEECCB909E64AD6949982D93847B254E82284DA4D6221C00FC51F1D665F5167B753409AB4',1179499);
CREATE TABLE agencies (
    name              TEXT   NOT NULL PRIMARY KEY,
    title_fa          TEXT   NOT NULL,
    title_en          TEXT   NOT NULL,
    -- JSON array of strings.
    roles             TEXT   NOT NULL,
    part_of           TEXT,
    -- Set: the agency is no longer in the policy; kept for what refers to it.
    removed_at_ms     BIGINT,
    suspended_at_ms   BIGINT,
    suspension_reason TEXT
);
CREATE TABLE audit (
    id        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at_ms     BIGINT  NOT NULL,
    actor     TEXT    NOT NULL,
    action    TEXT    NOT NULL,
    object    TEXT    NOT NULL,
    succeeded BIGINT  NOT NULL,
    reason    TEXT    NOT NULL,
    -- JSON object.
    details   TEXT    NOT NULL
);
INSERT INTO "audit" VALUES(1,1796104268731,'system','subject-key.rotate','1',1,'','{}');
INSERT INTO "audit" VALUES(2,1796104268773,'system','authority.found','root-1',1,'','{"fingerprint":"eb5a0ab97cc1123fb0a057f22f0cf7ea431bae85e21af2e379d807cbfee9c2a3","trust_domain":"exchange.example"}');
INSERT INTO "audit" VALUES(3,1796104268774,'system','authority.found','issuing-1',1,'','{"fingerprint":"fd0236a9c50f2343a284f3bf28b8dc4348d9d7daff41838f7833a9141e672372","trust_domain":"exchange.example"}');
CREATE TABLE authority_generations (
    -- "root-1", "issuing-1" …
    name              TEXT   NOT NULL PRIMARY KEY,
    kind              TEXT   NOT NULL CHECK (kind IN ('root', 'issuing')),
    number            BIGINT NOT NULL,
    state             TEXT   NOT NULL CHECK (state IN ('prepared', 'active', 'superseded', 'retired')),
    -- An issuing CA's root. A root's predecessor, which signed cross_certificate.
    parent            TEXT   REFERENCES authority_generations (name),
    certificate       BYTEA  NOT NULL,
    -- A root's key certified by its predecessor: who trusts only that one accepts what hangs on this one.
    cross_certificate BYTEA,
    -- Lowercase hex.
    serial            TEXT   NOT NULL,
    not_before_ms     BIGINT NOT NULL,
    not_after_ms      BIGINT NOT NULL,
    created_at_ms     BIGINT NOT NULL,
    retired_at_ms     BIGINT,
    UNIQUE (kind, number)
);
INSERT INTO "authority_generations" VALUES('root-1','root',1,'active',NULL,X'308201BE30820164A00302010202105CFF3FFB7BB9A8F4C3F9A6AC106F02C3300A06082A8648CE3D040302302C31193017060355040A0C1065786368616E67652E6578616D706C65310F300D06035504030C06726F6F742D31301E170D3236313230313035353030385A170D3336313132383035353130385A302C31193017060355040A0C1065786368616E67652E6578616D706C65310F300D06035504030C06726F6F742D313059301306072A8648CE3D020106082A8648CE3D030107034200048E8B190BCB7EBFC5DA9CBD1DD93E0FCC987E30D27113511AD9CF0CB11B71CE26B6C8E8791BA3DE312613FDFE325294EAA939915C64376669FDF454045E9A17CCA368306630240603551D11041D301B86197370696666653A2F2F65786368616E67652E6578616D706C65300E0603551D0F0101FF040403020106301D0603551D0E04160414ED6A0A49122593E386FDC363876C51158FBAEEEF300F0603551D130101FF040530030101FF300A06082A8648CE3D0403020348003045022100C75BAE4496B7D9BE0F60BA03A219BB7532E58CFA45BE5CE7F992B59422ED78A3022030FE439E671ABB054CF8F39E5531501EB563703F4EFD035272D05C933C726990',NULL,'5cff3ffb7bb9a8f4c3f9a6ac106f02c3',1796104208000,2111464268000,1796104268773,NULL);
INSERT INTO "authority_generations" VALUES('issuing-1','issuing',1,'active','root-1',X'308201E63082018DA0030201020210732D20C45E226D451D0E13C357E13224300A06082A8648CE3D040302302C31193017060355040A0C1065786368616E67652E6578616D706C65310F300D06035504030C06726F6F742D31301E170D3236313230313035353030385A170D3237313230313035353130385A302F31193017060355040A0C1065786368616E67652E6578616D706C653112301006035504030C0969737375696E672D313059301306072A8648CE3D020106082A8648CE3D03010703420004DA9B9452FD3BF73510A1E49609E6B05DAE4AFF0EBB66C814BC218741E79CF0F899EFEB415A73DE5896C03F04A8FE8E21936FBBBE5D62C8D1C360A5A4C0B576A0A3818D30818A301F0603551D23041830168014ED6A0A49122593E386FDC363876C51158FBAEEEF30240603551D11041D301B86197370696666653A2F2F65786368616E67652E6578616D706C65300E0603551D0F0101FF040403020106301D0603551D0E04160414FE460D17EB2D6D46FCA623F6052A8B2AF80A848E30120603551D130101FF040830060101FF020100300A06082A8648CE3D040302034700304402200EEAA0EE1BC7A6697F7E16C63A25072A4A9AF9254BD07504E9960D9D6104EACB02201EC4E9ABF1FA4A53472C24D6E9FB428CA8A85C9402293AF50062F9958F27CC3A',NULL,'732d20c45e226d451d0e13c357e13224',1796104208000,1827640268000,1796104268774,NULL);
CREATE TABLE certificates (
    -- Lowercase hex, two digits a byte.
    serial            TEXT   NOT NULL PRIMARY KEY,
    spiffe_id         TEXT   NOT NULL,
    -- Null: the control plane's or an admin's.
    agency            TEXT,
    issuer            TEXT   NOT NULL REFERENCES authority_generations (name),
    -- Hex SHA-256 of the certificate.
    fingerprint       TEXT   NOT NULL,
    not_before_ms     BIGINT NOT NULL,
    not_after_ms      BIGINT NOT NULL,
    revoked_at_ms     BIGINT,
    revocation_reason TEXT
);
CREATE TABLE descriptor_sets (
    -- Lowercase hex SHA-256 of the bytes.
    version TEXT  NOT NULL PRIMARY KEY,
    agency  TEXT  NOT NULL,
    bytes   BYTEA NOT NULL
);
CREATE TABLE enrolment_tokens (
    id             TEXT   NOT NULL PRIMARY KEY,
    agency         TEXT   NOT NULL,
    -- Null: any sidecar of the agency.
    sidecar        TEXT,
    secret_sha256  BYTEA  NOT NULL,
    created_at_ms  BIGINT NOT NULL,
    expires_at_ms  BIGINT NOT NULL,
    created_by     TEXT   NOT NULL,
    used_at_ms     BIGINT,
    -- Serial of the certificate that it was exchanged for.
    used_for       TEXT,
    revoked_at_ms  BIGINT
);
CREATE TABLE inquiry_homes (
    inquiry     TEXT   NOT NULL PRIMARY KEY,
    provider    TEXT   NOT NULL,
    since_ms    BIGINT NOT NULL
);
CREATE TABLE meta (
    key   TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO "meta" VALUES('revision',2);
CREATE TABLE passport_inquiries (
    agency       TEXT NOT NULL,
    grpc_service TEXT NOT NULL,
    version      TEXT NOT NULL,
    method       TEXT NOT NULL,
    inquiry      TEXT NOT NULL,
    kind         TEXT NOT NULL,
    title_fa     TEXT NOT NULL,
    title_en     TEXT NOT NULL, subjects TEXT,
    PRIMARY KEY (agency, grpc_service, version, method),
    FOREIGN KEY (agency, grpc_service, version) REFERENCES passports (agency, grpc_service, version)
);
CREATE TABLE passports (
    agency             TEXT   NOT NULL,
    grpc_service       TEXT   NOT NULL,
    version            TEXT   NOT NULL REFERENCES descriptor_sets (version),
    -- 1, 2, 3 … for each service of an agency in the order of drafting.
    number             BIGINT NOT NULL,
    id                 TEXT   NOT NULL,
    state              TEXT   NOT NULL CHECK (state IN ('draft', 'submitted', 'approved', 'superseded', 'retired')),
    base_database      TEXT,
    information_system TEXT   NOT NULL,
    classification     TEXT   NOT NULL,
    created_at_ms      BIGINT NOT NULL,
    changed_at_ms      BIGINT NOT NULL,
    changed_by         TEXT   NOT NULL,
    -- Resolution that approved it; empty when none was named.
    resolution         TEXT   NOT NULL,
    PRIMARY KEY (agency, grpc_service, version)
);
CREATE TABLE policy_resources (
    kind         TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    from_version BIGINT NOT NULL REFERENCES policy_versions (version),
    -- First version that no longer has it so. NULL: it is so now.
    to_version   BIGINT REFERENCES policy_versions (version),
    -- JSON.
    body         TEXT   NOT NULL,
    PRIMARY KEY (kind, name, from_version)
);
INSERT INTO "policy_resources" VALUES('BaseDatabase','iranian-identity',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه هویت ایرانیان","en":"Identity of Iranians"},"custodian":null,"classification":"sensitive"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','deeds-cadastre',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه اسناد و املاک و حدنگاری کشور","en":"Deeds, properties and cadastre"},"custodian":null,"classification":"sensitive"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','vehicles',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه هویت و وسایط نقلیه","en":"Identity and vehicles"},"custodian":null,"classification":"personal"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','legal-persons',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه هویت اشخاص حقوقی","en":"Identity of legal persons"},"custodian":null,"classification":"personal"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','goods-services',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه کالا و خدمات","en":"Goods and services"},"custodian":null,"classification":"ordinary"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','government-services',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه مدیریت خدمات دولت","en":"Government services management"},"custodian":null,"classification":"ordinary"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','national-addressing',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه نظام ملی نشانی‌گذاری مکان‌محور","en":"National location-based addressing"},"custodian":null,"classification":"ordinary"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','tax',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه مالیاتی کشور","en":"Tax"},"custodian":null,"classification":"sensitive"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','financial',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات مالی","en":"Financial information"},"custodian":null,"classification":"sensitive"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','banking-monetary',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات خدمات بانکی و پولی کشور","en":"Banking and monetary services"},"custodian":null,"classification":"sensitive"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','statistics',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات و آمار","en":"Information and statistics"},"custodian":null,"classification":"ordinary"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','health',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه سلامت","en":"Health"},"custodian":null,"classification":"sensitive"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','health-insurance',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه ملی بیمه‌های سلامت کشور","en":"National health insurance"},"custodian":null,"classification":"sensitive"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','social-insurance',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه ملی بیمه‌های اجتماعی کشور","en":"National social insurance"},"custodian":null,"classification":"sensitive"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','open-data',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه ملی اطلاعات داده‌های باز کشور","en":"National open data"},"custodian":null,"classification":"ordinary"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','spatial-data',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات مکان‌محور کشور","en":"Spatial data infrastructure (SDI)"},"custodian":null,"classification":"ordinary"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','residence',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات مکان اقامت اشخاص حقیقی و حقوقی","en":"Place of residence of natural and legal persons"},"custodian":null,"classification":"personal"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','criminal-records',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات سجل کیفری کشور","en":"Criminal records"},"custodian":null,"classification":"sensitive"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','business-licences',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات مجوزهای کسب و کار کشور","en":"Business licences"},"custodian":null,"classification":"personal"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','education',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات تحصیلی","en":"Education"},"custodian":null,"classification":"personal"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','businesses-occupations',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات کسب و کارها و مشاغل کشور","en":"Businesses and occupations"},"custodian":null,"classification":"personal"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','shahkar',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات شبکه احراز هویت کاربران ارتباطی (شاهکار)","en":"Authentication of communication subscribers (Shahkar)"},"custodian":null,"classification":"personal"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','judiciary-authentication',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه احراز هویت قوه قضائیه","en":"Judiciary authentication"},"custodian":null,"classification":"personal"}}');
INSERT INTO "policy_resources" VALUES('BaseDatabase','sana',1,NULL,'{"BaseDatabase":{"title":{"fa":"پایگاه ثبت‌نام الکترونیک قوه قضائیه (ثنا)","en":"Judiciary electronic registration (Sana)"},"custodian":null,"classification":"personal"}}');
CREATE TABLE policy_versions (
    version        BIGINT NOT NULL PRIMARY KEY,
    created_at_ms  BIGINT NOT NULL,
    created_by     TEXT   NOT NULL,
    reason         TEXT   NOT NULL,
    created        BIGINT NOT NULL,
    changed        BIGINT NOT NULL,
    deleted        BIGINT NOT NULL,
    -- Set when the version brought an old one's content back.
    rolled_back_to BIGINT,
    -- Distribution revision that carried it to the sidecars.
    revision       BIGINT NOT NULL
);
INSERT INTO "policy_versions" VALUES(1,1544819400000,'regulation','the base databases of the regulation of 1397-09-24, article 1-3',24,0,0,NULL,0);
CREATE TABLE registered_services (
    spiffe_id    TEXT NOT NULL REFERENCES registrations (spiffe_id) ON DELETE CASCADE,
    grpc_service TEXT NOT NULL,
    -- Passport that the sidecar offers; not always the one in force.
    version      TEXT NOT NULL,
    PRIMARY KEY (spiffe_id, grpc_service)
);
CREATE TABLE registrations (
    spiffe_id        TEXT   NOT NULL PRIMARY KEY,
    agency           TEXT   NOT NULL,
    -- host:port; empty for a pure consumer.
    address          TEXT   NOT NULL,
    software_version TEXT   NOT NULL,
    -- JSON array of agencies; empty: for everyone with a grant.
    reserved_for     TEXT   NOT NULL,
    registered_at_ms BIGINT NOT NULL
);
CREATE TABLE sidecars (
    spiffe_id             TEXT   NOT NULL PRIMARY KEY,
    agency                TEXT   NOT NULL,
    -- When it connected, or left, last.
    seen_at_ms            BIGINT NOT NULL,
    software_version      TEXT   NOT NULL,
    sent_revision         BIGINT NOT NULL,
    acknowledged_revision BIGINT NOT NULL,
    -- Of the policy in the snapshot that it acknowledged last.
    policy_version        BIGINT NOT NULL,
    -- Why it refused the last snapshot; empty when it did not.
    problem               TEXT   NOT NULL
);
CREATE TABLE subject_keys (
    -- 1, 2, 3 …; the highest is in force.
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    key        BYTEA   NOT NULL,
    made_at_ms BIGINT  NOT NULL
);
CREATE INDEX audit_by_actor ON audit (actor, id);
CREATE INDEX audit_by_action ON audit (action, id);
CREATE INDEX audit_by_object ON audit (object, id);
CREATE TRIGGER audit_is_never_updated BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE UNIQUE INDEX authority_generations_active ON authority_generations (kind) WHERE state = 'active';
CREATE INDEX certificates_by_agency ON certificates (agency, not_after_ms);
CREATE INDEX certificates_by_issuer ON certificates (issuer, not_after_ms);
CREATE INDEX certificates_revoked ON certificates (not_after_ms) WHERE revoked_at_ms IS NOT NULL;
CREATE INDEX enrolment_tokens_by_agency ON enrolment_tokens (agency, id);
CREATE UNIQUE INDEX policy_resources_now ON policy_resources (kind, name) WHERE to_version IS NULL;
CREATE INDEX policy_resources_by_end ON policy_resources (to_version);
CREATE TRIGGER policy_versions_are_never_updated BEFORE UPDATE ON policy_versions
BEGIN SELECT RAISE(ABORT, 'policy versions are append-only'); END;
CREATE TRIGGER policy_versions_are_never_deleted BEFORE DELETE ON policy_versions
BEGIN SELECT RAISE(ABORT, 'policy versions are append-only'); END;
CREATE TRIGGER policy_resources_only_end BEFORE UPDATE ON policy_resources
WHEN OLD.to_version IS NOT NULL OR NEW.to_version IS NULL OR NEW.body <> OLD.body
    OR NEW.kind <> OLD.kind OR NEW.name <> OLD.name OR NEW.from_version <> OLD.from_version
BEGIN SELECT RAISE(ABORT, 'a resource of a policy version can only end'); END;
CREATE TRIGGER policy_resources_are_never_deleted BEFORE DELETE ON policy_resources
BEGIN SELECT RAISE(ABORT, 'the resources of policy versions are kept'); END;
CREATE UNIQUE INDEX passports_in_force ON passports (agency, grpc_service) WHERE state = 'approved';
CREATE UNIQUE INDEX passports_by_number ON passports (agency, grpc_service, number);
CREATE INDEX passports_by_version ON passports (version);
CREATE INDEX passports_by_system ON passports (information_system);
CREATE INDEX passport_inquiries_by_name ON passport_inquiries (inquiry);
CREATE INDEX registrations_by_agency ON registrations (agency);
CREATE INDEX certificates_by_end ON certificates (not_after_ms);
CREATE INDEX enrolment_tokens_by_end ON enrolment_tokens (expires_at_ms);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('subject_keys',1);
INSERT INTO "sqlite_sequence" VALUES('audit',3);
COMMIT;
