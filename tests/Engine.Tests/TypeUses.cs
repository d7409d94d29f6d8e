using Mono.Cecil;
using Mono.Cecil.Cil;

namespace LocalLlm.Tests;

/// <summary>A type of an assembly, by the folder that its namespace names ("" at the root) and its outermost name.</summary>
internal readonly record struct PlacedType(string Folder, string Name);

/// <summary>
/// Which types of an assembly use which of its other types. Reads compiled code (signatures, fields, base types, attributes and every
/// instruction), so it does not matter how the source names a type. Uses of constants are not seen, because the compiler has copied their
/// values.
/// </summary>
internal static class TypeUses
{
    private const string Root = "LocalLlm";

    public static HashSet<(PlacedType User, PlacedType Used)> Of(string assemblyPath)
    {
        using var assembly = AssemblyDefinition.ReadAssembly(assemblyPath);
        var uses = new HashSet<(PlacedType, PlacedType)>();
        foreach (var type in assembly.MainModule.GetTypes())
        {
            if (Place(type) is not { } user)
                continue;
            foreach (var reference in References(type))
            {
                foreach (var part in Parts(reference))
                {
                    if (part.Scope == assembly.MainModule && Place(part) is { } used && used != user)
                        uses.Add((user, used));
                }
            }
        }

        return uses;
    }

    private static IEnumerable<TypeReference?> References(TypeDefinition type)
    {
        yield return type.BaseType;
        foreach (var used in type.Interfaces.Select(one => one.InterfaceType).Concat(type.CustomAttributes.Select(one => one.AttributeType)))
            yield return used;
        foreach (var used in type.Fields.Select(field => field.FieldType).Concat(type.GenericParameters.SelectMany(one => one.Constraints).Select(one => one.ConstraintType)))
            yield return used;
        foreach (var used in type.Methods.SelectMany(Of))
            yield return used;
    }

    private static IEnumerable<TypeReference?> Of(MethodDefinition method)
    {
        yield return method.ReturnType;
        foreach (var parameter in method.Parameters)
            yield return parameter.ParameterType;
        if (!method.HasBody)
            yield break;
        foreach (var variable in method.Body.Variables)
            yield return variable.VariableType;
        foreach (var instruction in method.Body.Instructions)
        {
            foreach (var used in Of(instruction))
                yield return used;
        }
    }

    private static IEnumerable<TypeReference?> Of(Instruction instruction) => instruction.Operand switch
    {
        TypeReference type => [type],
        GenericInstanceMethod method => [method.DeclaringType, method.ReturnType, .. method.GenericArguments, .. method.Parameters.Select(one => one.ParameterType)],
        MethodReference method => [method.DeclaringType, method.ReturnType, .. method.Parameters.Select(one => one.ParameterType)],
        FieldReference field => [field.DeclaringType, field.FieldType],
        _ => [],
    };

    // The types that a type is built from: an array's elements, a generic's arguments.
    private static IEnumerable<TypeReference> Parts(TypeReference? type)
    {
        while (type is TypeSpecification specification)
        {
            if (specification is GenericInstanceType generic)
            {
                foreach (var part in generic.GenericArguments.SelectMany(Parts))
                    yield return part;
            }

            type = specification.ElementType;
        }

        if (type is not null)
            yield return type;
    }

    private static PlacedType? Place(TypeReference type)
    {
        while (type.DeclaringType is { } outer)
            type = outer;
        if (type.Namespace != Root && !type.Namespace.StartsWith(Root + ".", StringComparison.Ordinal))
            return null;
        var parts = type.Namespace.Split('.');
        return new(parts.Length > 1 ? parts[1] : "", type.Name);
    }
}
