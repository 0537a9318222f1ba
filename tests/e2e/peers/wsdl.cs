// What .NET's own `wsdl` does: reads the description of a service, and writes the class that asks it.
//
//     mono wsdl.exe ADDRESS PROTOCOL FILE

using System;
using System.CodeDom;
using System.CodeDom.Compiler;
using System.IO;
using System.Web.Services.Description;
using System.Xml;
using Microsoft.CSharp;

static class Wsdl
{
    static int Main(string[] arguments)
    {
        var importer = new ServiceDescriptionImporter
        {
            ProtocolName = arguments[1],
            Style = ServiceDescriptionImportStyle.Client,
        };
        using (var reader = XmlReader.Create(arguments[0]))
        {
            importer.AddServiceDescription(ServiceDescription.Read(reader), null, null);
        }
        var space = new CodeNamespace();
        var unit = new CodeCompileUnit();
        unit.Namespaces.Add(space);
        ServiceDescriptionImportWarnings warnings = importer.Import(space, unit);
        using (var file = new StreamWriter(arguments[2]))
        {
            new CSharpCodeProvider().GenerateCodeFromCompileUnit(unit, file, new CodeGeneratorOptions());
        }
        Console.WriteLine(warnings);
        return 0;
    }
}
