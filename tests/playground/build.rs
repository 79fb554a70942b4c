//! Generates, from the agencies' own .proto files and without a protoc on the machine: clients and servers, a descriptor
//! set for each service (its passport), and the table of services and inquiries that the annotations describe.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use prost::Message as _;
use protox::prost_reflect::{
    DynamicMessage, ExtensionDescriptor, MethodDescriptor, ReflectMessage as _, ServiceDescriptor, Value,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let includes = [here.join("proto"), here.join("../../proto")];
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for include in &includes {
        println!("cargo::rerun-if-changed={}", include.display());
    }
    let mut files = Vec::new();
    collect(&includes[0], &includes[0], &mut files)?;
    files.sort();

    let mut all = protox::Compiler::new(&includes)?;
    all.include_imports(true).include_source_info(false);
    all.open_files(&files)?;
    fs::write(out.join("all.binpb"), all.encode_file_descriptor_set())?;
    generate_code(&all, &files)?;

    let mut table = String::new();
    writeln!(table, "/// All services, with their passports.")?;
    writeln!(table, "pub const SERVICES: &[Service] = &[")?;
    for file in &files {
        // One closure a file, so that a passport's version does not change with its neighbours.
        let mut one = protox::Compiler::new(&includes)?;
        one.include_imports(true).include_source_info(false);
        one.open_file(file)?;
        let set = out.join(format!("{}.binpb", file.trim_end_matches(".proto").replace('/', ".")));
        // The encoder of the compiler keeps custom options, which prost's own types would drop.
        fs::write(&set, one.encode_file_descriptor_set())?;
        let pool = one.descriptor_pool();
        let extensions = Extensions {
            service: pool.get_extension_by_name("chapar.v1.service").ok_or("no service option")?,
            inquiry: pool.get_extension_by_name("chapar.v1.inquiry").ok_or("no inquiry option")?,
        };
        for service in pool.services().filter(|s| s.parent_file().name() == file) {
            write_service(&mut table, &service, &extensions, &set)?;
        }
    }
    writeln!(table, "];")?;
    fs::write(out.join("table.rs"), table)?;
    Ok(())
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) -> Outcome<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if path.extension().is_some_and(|e| e == "proto") {
            files.push(path.strip_prefix(root)?.to_str().ok_or("file name is not UTF-8")?.to_owned());
        }
    }
    Ok(())
}

/// Clients and servers of the agencies' files only: the imported ones have a crate of their own.
fn generate_code(compiler: &protox::Compiler, files: &[String]) -> Outcome<()> {
    let mut set = prost_types_set(compiler)?;
    set.file.retain(|f| files.iter().any(|own| own == f.name()));
    for file in &mut set.file {
        file.dependency.retain(|d| files.contains(d));
    }
    tonic_prost_build::configure().emit_rerun_if_changed(false).compile_fds(set)?;
    Ok(())
}

fn prost_types_set(compiler: &protox::Compiler) -> Outcome<tonic_prost_build::FileDescriptorSet> {
    let bytes = compiler.encode_file_descriptor_set();
    Ok(tonic_prost_build::FileDescriptorSet::decode(bytes.as_slice())?)
}

struct Extensions {
    service: ExtensionDescriptor,
    inquiry: ExtensionDescriptor,
}

fn write_service(table: &mut String, service: &ServiceDescriptor, extensions: &Extensions, set: &Path) -> Outcome<()> {
    let options = service.options();
    let passport = message(&options.get_extension(&extensions.service))?.clone();
    let title = message(&*passport.get_field_by_name("title").ok_or("service without title")?)?.clone();
    writeln!(table, "  Service {{")?;
    writeln!(table, "    id: {:?}, grpc_service: {:?},", text(&passport, "id")?, service.full_name())?;
    writeln!(table, "    title: Title {{ fa: {:?}, en: {:?} }},", text(&title, "fa")?, text(&title, "en")?)?;
    writeln!(table, "    information_system: {:?},", text(&passport, "information_system")?)?;
    writeln!(table, "    descriptor_set: include_bytes!({set:?}),")?;
    writeln!(table, "    inquiries: &[")?;
    for method in service.methods() {
        write_inquiry(table, &method, extensions)?;
    }
    writeln!(table, "    ],\n  }},")?;
    Ok(())
}

fn write_inquiry(table: &mut String, method: &MethodDescriptor, extensions: &Extensions) -> Outcome<()> {
    let options = method.options();
    let inquiry = message(&options.get_extension(&extensions.inquiry))?.clone();
    let title = message(&*inquiry.get_field_by_name("title").ok_or("inquiry without title")?)?.clone();
    let kind = match inquiry.get_field_by_name("kind").as_deref() {
        Some(Value::EnumNumber(1)) => "Verification",
        Some(Value::EnumNumber(2)) => "Data",
        Some(Value::EnumNumber(3)) => "Push",
        Some(Value::EnumNumber(4)) => "Broadcast",
        Some(Value::EnumNumber(5)) => "Bulk",
        _ => return Err(format!("{}: the inquiry has no kind", method.full_name()).into()),
    };
    writeln!(table, "      Inquiry {{")?;
    writeln!(table, "        id: {:?}, method: {:?}, kind: Kind::{kind},", text(&inquiry, "id")?, method.name())?;
    writeln!(table, "        title: Title {{ fa: {:?}, en: {:?} }},", text(&title, "fa")?, text(&title, "en")?)?;
    writeln!(table, "      }},")?;
    Ok(())
}

fn message(value: &Value) -> Outcome<&DynamicMessage> {
    value.as_message().ok_or_else(|| "the option is not a message".into())
}

fn text(message: &DynamicMessage, field: &str) -> Outcome<String> {
    let value = message.get_field_by_name(field).ok_or_else(|| format!("no field {field}"))?;
    match value.as_str() {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("{}: {field} is not set", message.descriptor().full_name()).into()),
    }
}
