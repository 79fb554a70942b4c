-- The base databases that the regulation itself names (1397-09-24, article 1-3), as the first version of every exchange's policy.
-- The text names no custodians and no classifications: the former stay open until a resolution sets them, the latter are chosen
-- by what a register of that kind holds about persons. Both are changed by BaseDatabase resources.
INSERT INTO policy_versions (version, created_at_ms, created_by, reason, created, changed, deleted, rolled_back_to, revision)
VALUES (1, 1544819400000, 'regulation', 'the base databases of the regulation of 1397-09-24, article 1-3', 24, 0, 0, NULL, 0);

INSERT INTO policy_resources (kind, name, from_version, to_version, body) VALUES
    ('BaseDatabase', 'iranian-identity', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه هویت ایرانیان","en":"Identity of Iranians"},"custodian":null,"classification":"sensitive"}}'),
    ('BaseDatabase', 'deeds-cadastre', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه اسناد و املاک و حدنگاری کشور","en":"Deeds, properties and cadastre"},"custodian":null,"classification":"sensitive"}}'),
    ('BaseDatabase', 'vehicles', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه هویت و وسایط نقلیه","en":"Identity and vehicles"},"custodian":null,"classification":"personal"}}'),
    ('BaseDatabase', 'legal-persons', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه هویت اشخاص حقوقی","en":"Identity of legal persons"},"custodian":null,"classification":"personal"}}'),
    ('BaseDatabase', 'goods-services', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه کالا و خدمات","en":"Goods and services"},"custodian":null,"classification":"ordinary"}}'),
    ('BaseDatabase', 'government-services', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه مدیریت خدمات دولت","en":"Government services management"},"custodian":null,"classification":"ordinary"}}'),
    ('BaseDatabase', 'national-addressing', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه نظام ملی نشانی‌گذاری مکان‌محور","en":"National location-based addressing"},"custodian":null,"classification":"ordinary"}}'),
    ('BaseDatabase', 'tax', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه مالیاتی کشور","en":"Tax"},"custodian":null,"classification":"sensitive"}}'),
    ('BaseDatabase', 'financial', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات مالی","en":"Financial information"},"custodian":null,"classification":"sensitive"}}'),
    ('BaseDatabase', 'banking-monetary', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات خدمات بانکی و پولی کشور","en":"Banking and monetary services"},"custodian":null,"classification":"sensitive"}}'),
    ('BaseDatabase', 'statistics', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات و آمار","en":"Information and statistics"},"custodian":null,"classification":"ordinary"}}'),
    ('BaseDatabase', 'health', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه سلامت","en":"Health"},"custodian":null,"classification":"sensitive"}}'),
    ('BaseDatabase', 'health-insurance', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه ملی بیمه‌های سلامت کشور","en":"National health insurance"},"custodian":null,"classification":"sensitive"}}'),
    ('BaseDatabase', 'social-insurance', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه ملی بیمه‌های اجتماعی کشور","en":"National social insurance"},"custodian":null,"classification":"sensitive"}}'),
    ('BaseDatabase', 'open-data', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه ملی اطلاعات داده‌های باز کشور","en":"National open data"},"custodian":null,"classification":"ordinary"}}'),
    ('BaseDatabase', 'spatial-data', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات مکان‌محور کشور","en":"Spatial data infrastructure (SDI)"},"custodian":null,"classification":"ordinary"}}'),
    ('BaseDatabase', 'residence', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات مکان اقامت اشخاص حقیقی و حقوقی","en":"Place of residence of natural and legal persons"},"custodian":null,"classification":"personal"}}'),
    ('BaseDatabase', 'criminal-records', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات سجل کیفری کشور","en":"Criminal records"},"custodian":null,"classification":"sensitive"}}'),
    ('BaseDatabase', 'business-licences', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات مجوزهای کسب و کار کشور","en":"Business licences"},"custodian":null,"classification":"personal"}}'),
    ('BaseDatabase', 'education', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات تحصیلی","en":"Education"},"custodian":null,"classification":"personal"}}'),
    ('BaseDatabase', 'businesses-occupations', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات کسب و کارها و مشاغل کشور","en":"Businesses and occupations"},"custodian":null,"classification":"personal"}}'),
    ('BaseDatabase', 'shahkar', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه اطلاعات شبکه احراز هویت کاربران ارتباطی (شاهکار)","en":"Authentication of communication subscribers (Shahkar)"},"custodian":null,"classification":"personal"}}'),
    ('BaseDatabase', 'judiciary-authentication', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه احراز هویت قوه قضائیه","en":"Judiciary authentication"},"custodian":null,"classification":"personal"}}'),
    ('BaseDatabase', 'sana', 1, NULL, '{"BaseDatabase":{"title":{"fa":"پایگاه ثبت‌نام الکترونیک قوه قضائیه (ثنا)","en":"Judiciary electronic registration (Sana)"},"custodian":null,"classification":"personal"}}');
