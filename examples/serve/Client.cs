// Client MODEL INPUT: run a converted model on raw float32, print its prediction and the strongest pixel.
using System;
using System.Globalization;
using System.IO;
using System.Linq;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

static class Client
{
    static int Strongest(float[] values) => Array.IndexOf(values, values.Max());

    static void Main(string[] args)
    {
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        using var session = new InferenceSession(args[0]);
        var bytes = File.ReadAllBytes(args[1]);
        var x = new float[bytes.Length / sizeof(float)];
        Buffer.BlockCopy(bytes, 0, x, 0, bytes.Length);
        var shape = session.InputMetadata["input"].Dimensions.Select(size => Math.Max(size, 1)).ToArray();

        var feeds = new[]
        {
            NamedOnnxValue.CreateFromTensor("input", new DenseTensor<float>(x, shape)),
            NamedOnnxValue.CreateFromTensor("target", new DenseTensor<long>(new[] { -1L }, new[] { 1 })), // the largest
        };
        using var found = session.Run(feeds, new[] { "logits", "relevance" });
        var logits = found.First().AsEnumerable<float>().ToArray();
        var relevance = found.Last().AsEnumerable<float>().ToArray();

        int best = Strongest(logits), place = Strongest(relevance), width = shape[shape.Length - 1];
        Console.WriteLine($"prediction {best} logit {logits[best]:F4}");
        Console.WriteLine($"strongest pixel row {place / width} column {place % width} relevance {relevance[place]:F4}");
    }
}
