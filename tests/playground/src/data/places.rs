//! Addressed places, and the power connections at them.

use super::{date::Day, numbers};

/// One place with a postal code.
#[derive(Clone, Debug)]
pub struct Place {
    /// In Persian.
    pub province: &'static str,
    /// In Persian.
    pub county: &'static str,
    /// In Persian.
    pub city: &'static str,
    /// In Persian.
    pub street: &'static str,
    /// Number in the street.
    pub plate: i32,
    /// North.
    pub latitude_degrees: f64,
    /// East.
    pub longitude_degrees: f64,
    /// 10 digits.
    pub postal_code: String,
}

impl Place {
    /// The address in one line, as the post writes it.
    #[must_use]
    pub fn description(&self) -> String {
        format!("استان {}، شهر {}، {}، پلاک {}", self.province, self.city, self.street, self.plate)
    }

    /// Metres to a point, by the equirectangular approximation, which is good at the distances of a city.
    #[must_use]
    pub fn metres_to(&self, latitude_degrees: f64, longitude_degrees: f64) -> f64 {
        const METRES_PER_DEGREE: f64 = 111_320.0;
        let north = latitude_degrees - self.latitude_degrees;
        let east = (longitude_degrees - self.longitude_degrees) * self.latitude_degrees.to_radians().cos();
        north.hypot(east) * METRES_PER_DEGREE
    }
}

/// Whether power flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    /// It does.
    Connected,
    /// Not for now.
    Suspended,
    /// Never again.
    Removed,
}

/// A power connection, known by its bill ID.
#[derive(Clone, Debug)]
pub struct Connection {
    /// As the bill shows it.
    pub bill_id: String,
    /// Day of the connection.
    pub made_on: Day,
    /// Whether power flows.
    pub supply: Supply,
    /// Index into the places.
    pub place: usize,
}

/// The province, county, city, latitude and longitude of a city centre.
const CITIES: [(&str, &str, &str, f64, f64); 8] = [
    ("خراسان رضوی", "مشهد", "مشهد", 36.2970, 59.6062),
    ("تهران", "تهران", "تهران", 35.6892, 51.3890),
    ("اصفهان", "اصفهان", "اصفهان", 32.6546, 51.6680),
    ("فارس", "شیراز", "شیراز", 29.5918, 52.5837),
    ("آذربایجان شرقی", "تبریز", "تبریز", 38.0962, 46.2738),
    ("گیلان", "رشت", "رشت", 37.2808, 49.5832),
    ("یزد", "یزد", "یزد", 31.8974, 54.3569),
    ("کرمان", "کرمان", "کرمان", 30.2839, 57.0834),
];

const STREETS: [&str; 4] = ["خیابان آزادی", "خیابان فردوسی", "خیابان سعدی", "بلوار معلم"];

/// Four places in each city, some 300 metres apart.
pub(super) fn places() -> Vec<Place> {
    let mut places = Vec::new();
    for (at, (province, county, city, latitude, longitude)) in CITIES.into_iter().enumerate() {
        for (nth, street) in STREETS.into_iter().enumerate() {
            let step = f64::from(u8::try_from(nth).unwrap_or(0)) * 0.003;
            places.push(Place {
                province,
                county,
                city,
                street,
                plate: i32::try_from(10 + at * 7 + nth * 3).unwrap_or(1),
                latitude_degrees: latitude + step,
                longitude_degrees: longitude + step,
                postal_code: postal_code(at, nth),
            });
        }
    }
    places
}

/// Two digits that vary with the place, in an area code that holds to the rules of postal codes.
fn postal_code(city: usize, nth: usize) -> String {
    const ALLOWED: [char; 8] = ['1', '3', '4', '5', '6', '7', '8', '9'];
    let (a, b) = (ALLOWED[city % ALLOWED.len()], ALLOWED[nth % ALLOWED.len()]);
    format!("9{a}37648{b}31")
}

/// Two connections a day in the two months before session 38, all places in turn.
pub(super) fn connections(places: usize) -> Vec<Connection> {
    let days = (1..=30).filter_map(|d| Day::new(1401, 8, d));
    let days = days.chain((1..=30).filter_map(|d| Day::new(1401, 9, d)));
    let days = days.chain((1..=20).filter_map(|d| Day::new(1401, 10, d)));
    let mut connections = Vec::new();
    for made_on in days {
        for _ in 0..2 {
            let serial = connections.len();
            connections.push(Connection {
                bill_id: numbers::bill_id(u32::try_from(70_000_000 + serial * 17).unwrap_or(0)),
                made_on,
                supply: match serial % 10 {
                    3 => Supply::Suspended,
                    7 => Supply::Removed,
                    _ => Supply::Connected,
                },
                place: serial % places,
            });
        }
    }
    connections
}
