using System.Text;
using LocalLlm.Planning;

namespace LocalLlm.Tests.Planning;

public static partial class PublishedConfigs
{
    internal static ModelShape Shape(string config) => ModelShapeReader.Parse(Encoding.UTF8.GetBytes(config));
}
